//! Behaviour of several parts together, through system calls of scripted tasks (see `testing`).

mod blocking;
mod files;
mod launch;
mod network;
mod processes;
mod signals;

use std::cell::RefCell;
use std::rc::Rc;

use crate::testing::{Next, Script};

/// Numbers of calls, by the names of `table`.
pub fn number(name: &str) -> u64 {
    let row = crate::table::ROWS.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no call named {name}")).generic.into()
}

/// A call with up to six arguments.
pub fn call(name: &str, args: &[u64]) -> Next {
    let mut words = [0; 6];
    words[..args.len()].copy_from_slice(args);
    Next::Call(number(name), words)
}

/// What a script's calls gave, in order.
pub type Results = Rc<RefCell<Vec<i64>>>;

/// A program that makes these calls one after the other, keeps their results, then exits with status 0.
pub fn straight(calls: Vec<(&'static str, Vec<u64>)>) -> (Script, Results) {
    let results = Results::default();
    let kept = results.clone();
    let script: Script = Box::new(move |step, result| {
        if step > 0 {
            kept.borrow_mut().push(result);
        }
        match calls.get(step) {
            Some((name, args)) => call(name, args),
            None => call("exit_group", &[0]),
        }
    });
    (script, results)
}
