//! AF_UNIX (unix(7)): `Names` is who is bound where, `stream` and `datagram` the two sorts of sockets.

pub mod datagram;
pub mod stream;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;

use super::Kind;
use super::address::{Address, UnixName};
use super::connection::Listener;
use super::mailbox::Mailbox;

/// What finds a socket: its inode, or its abstract name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Node(u64, u64),
    Abstract(Vec<u8>),
}

impl Key {
    fn of(name: &UnixName) -> Option<Key> {
        match name.node {
            Some((dev, ino)) => Some(Key::Node(dev, ino)),
            None if name.is_abstract() => Some(Key::Abstract(name.text.clone())),
            None => None,
        }
    }
}

/// Where messages to a name go.
enum Target {
    /// A stream socket, once it listens.
    Listener(RefCell<Weak<Listener>>),
    Mailbox(Weak<Mailbox>),
}

/// A bound name: taken as long as this lives.
pub struct Bound {
    pub name: UnixName,
    kind: Kind,
    target: Target,
}

/// All bound names.
#[derive(Default)]
pub struct Names {
    bound: RefCell<HashMap<Key, Weak<Bound>>>,
    /// Last number given to a socket that asked for any name.
    next: std::cell::Cell<u32>,
}

impl Names {
    /// Takes a name; EADDRINUSE when somebody has it.
    fn bind(&self, name: &UnixName, kind: Kind, target: Target) -> Result<Rc<Bound>, Errno> {
        let name = if name.text.is_empty() { self.any() } else { name.clone() };
        let key = Key::of(&name).ok_or(Errno::EINVAL)?;
        let mut bound = self.bound.borrow_mut();
        if bound.len() > 64 {
            bound.retain(|_, one| one.strong_count() > 0);
        }
        if bound.get(&key).is_some_and(|one| one.strong_count() > 0) {
            return Err(Errno::EADDRINUSE);
        }
        let new = Rc::new(Bound { name, kind, target });
        bound.insert(key, Rc::downgrade(&new));
        Ok(new)
    }

    /// An abstract name of five hexadecimal digits that nobody has ("autobind").
    fn any(&self) -> UnixName {
        loop {
            let number = self.next.get() + 1;
            self.next.set(number & 0xfffff);
            let name = UnixName { text: format!("\0{:05x}", number & 0xfffff).into_bytes(), node: None };
            let taken = Key::of(&name)
                .is_some_and(|key| self.bound.borrow().get(&key).is_some_and(|one| one.strong_count() > 0));
            if !taken {
                return name;
            }
        }
    }

    /// Who is bound there: ECONNREFUSED when nobody is, EPROTOTYPE when it is a socket of another type.
    fn find(&self, to: &Address, kind: Kind) -> Result<Rc<Bound>, Errno> {
        let Address::Unix(name) = to else { return Err(Errno::EINVAL) };
        let key = Key::of(name).ok_or(Errno::EINVAL)?;
        let bound = self.bound.borrow().get(&key).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED)?;
        if bound.kind == kind { Ok(bound) } else { Err(Errno::EPROTOTYPE) }
    }
}
