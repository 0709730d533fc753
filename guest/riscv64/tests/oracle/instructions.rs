//! The crate's instructions, whole: registers, flags, memory and the next pc.

use crate::emulator::{Case, Emulator, Model as Processor, State};
use crate::model::{Model, goes_on_in_itself};
use crate::random::Random;
use crate::table::{FLOATING, INTEGER, Row, case};
use crate::{compressed, fuzz};

/// States for each instruction.
const STATES: usize = 400;
const MUTATIONS: usize = 40_000;
/// Differences that are printed.
const REPORTED: usize = 30;

/// Fails with the first differences between the emulator's states and the crate's.
fn compare(processor: Processor, cases: Vec<Case>, emulator: &Emulator) {
    let mut model = Model::default();
    let run = |case: Case| {
        let after = model.run(&case);
        (!goes_on_in_itself(&case, &after)).then_some((case, after))
    };
    let (cases, ours): (Vec<Case>, Vec<State>) = cases.into_iter().filter_map(run).unzip();
    let theirs = emulator.run(processor, &cases);
    let report = |((case, ours), theirs): ((&Case, &State), &State)| {
        let difference = ours.difference(theirs);
        (!difference.is_empty()).then(|| format!("{} {:08x}:{difference}", case.name, case.instruction))
    };
    let reports: Vec<String> = cases.iter().zip(&ours).zip(&theirs).filter_map(report).collect();
    let shown = &reports[..reports.len().min(REPORTED)];
    assert!(reports.is_empty(), "{} of {} differ:\n{}", reports.len(), cases.len(), shown.join("\n"));
}

fn cases_of(rows: &[Row], random: &mut Random) -> Vec<Case> {
    rows.iter().flat_map(|row| std::iter::repeat_n(row, STATES)).map(|row| case(row, random)).collect()
}

#[test]
fn integer_instructions() {
    let Some(emulator) = Emulator::find("integer") else { return };
    compare(Processor::Newest, cases_of(INTEGER, &mut Random(2)), &emulator);
}

#[test]
fn floating_point_instructions() {
    let Some(emulator) = Emulator::find("floating") else { return };
    compare(Processor::Newest, cases_of(FLOATING, &mut Random(3)), &emulator);
}

#[test]
fn compressed_instructions() {
    let Some(emulator) = Emulator::find("compressed") else { return };
    let mut random = Random(4);
    let cases: Vec<Case> =
        compressed::encodings().flat_map(|bits| [bits; 2]).map(|bits| compressed::case(bits, &mut random)).collect();
    compare(Processor::Plain, cases, &emulator);
}

/// A reserved load, then a conditional store to the same place: with what was loaded still there or not.
#[test]
fn reservations() {
    let Some(emulator) = Emulator::find("reservations") else { return };
    let mut random = Random(5);
    let rows = |name: &str| INTEGER.iter().find(|row| row.0 == name).expect("a row");
    let mut cases = Vec::new();
    for suffix in [".w", ".d"] {
        for _ in 0..STATES {
            let load = case(rows(&format!("lr{suffix}")), &mut random);
            let mut store = case(rows(&format!("sc{suffix}")), &mut random);
            let base = |case: &Case| (case.instruction >> 15 & 31) as usize;
            store.state.x[base(&store)] = load.state.x[base(&load)];
            if random.below(4) != 0 {
                store.state.scratch = load.state.scratch;
            }
            cases.extend([load, store]);
        }
    }
    compare(Processor::Newest, cases, &emulator);
}

/// Which encodings are illegal; of the others, the registers as well.
#[test]
fn mutated_encodings() {
    let Some(emulator) = Emulator::find("mutated") else { return };
    let mut random = Random(6);
    let cases: Vec<Case> = std::iter::repeat_with(|| fuzz::mutated(&mut random)).flatten().take(MUTATIONS).collect();
    compare(Processor::Plain, cases, &emulator);
}

/// Every row of the crate's table is one of those tested here.
#[test]
fn no_instruction_is_left_out() {
    let untested: Vec<&str> = shallop_riscv64::decode::ROWS
        .iter()
        .map(|row| row.name)
        .filter(|name| *name != "ecall" && INTEGER.iter().chain(FLOATING).all(|row| row.0 != *name))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}
