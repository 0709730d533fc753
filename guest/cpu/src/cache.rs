//! The cache of decoded code, shared by all tasks of a process.
//!
//! A *line* is the decoded code from some address to the next jump, in one page of guest memory; branches that are
//! not taken go on in it. Lines lie one after another in an arena of cells, each behind a header cell. A taken branch
//! finds its target through its cell's link, a computed jump through a table hashed by address. When the arena is
//! full everything is dropped. When a page's code changes, the cells of the page's lines become `Link`s, which look
//! their own address up again; so every pointer to a cell stays good until the whole arena is dropped. A line may begin
//! with a cell that is no instruction (`translated`).

use core::ptr::null;

use shallop_riscv64::{Kind, Op};

use crate::shared::Shared;

/// Cells of the arena; few in tests, so that they fill it soon.
const CELLS: usize = if cfg!(test) { 1 << 14 } else { 1 << 22 };
/// Entries of the table. Each two are for four halfwords of code, of which seldom more than two begin a line, so that a
/// process that starts touches few pages of it.
const TABLE: usize = 1 << 18;
const PAGE_BITS: u32 = 12;
const PAGES: usize = 1 << (32 - PAGE_BITS);
/// Pages above which a flush drops everything instead of looking at each.
const FLUSH_PAGES: usize = 1 << 14;
/// Ops of a line at most.
pub const LINE_OPS: usize = 120;
/// Bit of a page's word: a line of the page before reaches into it.
const REACHED: u32 = 1 << 31;
/// `rm` of header cells.
const HEADER: u8 = 0xff;

/// A decoded instruction and its address.
///
/// A header has `rm` [`HEADER`], in `imm` the index of the next header of its page (0: none), in `rd` its line's cells.
/// Headers and `Link`s have `len` 0.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Cell {
    pub op: Op,
    pub pc: u32,
}

impl Cell {
    /// A cell that goes on at `pc` elsewhere.
    pub const fn link(pc: u32) -> Cell {
        Cell { op: Op::new(Kind::Link, 0), pc }
    }
}

static CELLS_OF_CODE: Shared<[Cell; CELLS]> = Shared::new([Cell { op: Op::new(Kind::Lui, 0), pc: 0 }; CELLS]);
static LINKS: Shared<[*const Cell; CELLS]> = Shared::new([null(); CELLS]);
static HASHED: Shared<[*const Cell; TABLE]> = Shared::new([null(); TABLE]);
/// Index of the first header of each page's lines, 0 for none, and [`REACHED`].
static PAGE_LINES: Shared<[u32; PAGES]> = Shared::new([0; PAGES]);
static FRONT: Shared<Front> = Shared::new(Front { used: 0, generation: 0 });

struct Front {
    /// Cells used; the first is never.
    used: usize,
    /// Times that everything was dropped.
    generation: u32,
}

fn front() -> &'static mut Front {
    // SAFETY: the functions here keep it no longer than they run, and call nothing that takes it while they do.
    unsafe { &mut *FRONT.pointer() }
}

/// Changes when all cells have been dropped.
pub fn generation() -> u32 {
    front().generation
}

/// Whether this can be a pointer to a cell.
pub fn is_cell(cell: *const Cell) -> bool {
    let distance = (cell as usize).wrapping_sub(CELLS_OF_CODE.first() as usize);
    distance.is_multiple_of(size_of::<Cell>()) && distance / size_of::<Cell>() < CELLS
}

/// Where a cell keeps the target of its static jump; null when it is not known yet.
///
/// # Safety
/// `cell` must be of the arena.
#[inline(always)]
pub unsafe fn link_of(cell: *const Cell) -> *mut *const Cell {
    let index = (cell as usize - CELLS_OF_CODE.first() as usize) / size_of::<Cell>();
    // SAFETY: there is a link for each cell.
    unsafe { LINKS.first().add(index) }
}

#[inline(always)]
fn hash(pc: u32) -> usize {
    (pc >> 2 ^ pc >> 18) as usize & (TABLE - 1)
}

/// The cell that decodes the instruction at `pc`, if the table has it.
#[inline(always)]
pub fn find(pc: u32) -> Option<*const Cell> {
    let hash = hash(pc);
    // SAFETY: hashes are below TABLE, of which an even number follows the first of a pair.
    let (first, second) = unsafe { (*HASHED.first().add(hash), *HASHED.first().add(hash ^ 1)) };
    if decodes(first, pc) {
        return Some(first);
    }
    decodes(second, pc).then_some(second)
}

#[inline(always)]
fn decodes(cell: *const Cell, pc: u32) -> bool {
    // SAFETY: the table holds null or cells of the arena.
    !cell.is_null() && unsafe { (*cell).pc == pc && (*cell).op.len != 0 }
}

fn insert(pc: u32, cell: *const Cell) {
    let hash = hash(pc);
    let (first, second) = (HASHED.element(hash), HASHED.element(hash ^ 1));
    // SAFETY: both are elements of the table.
    unsafe {
        if !(*first).is_null() {
            *second = *first;
        }
        *first = cell;
    }
}

/// Page number of an address.
pub const fn page(pc: u32) -> usize {
    (pc >> PAGE_BITS) as usize
}

/// A line that is being made; its cells count for nothing before [`Line::finish`].
pub struct Line {
    start: u32,
    header: usize,
    cells: usize,
}

impl Line {
    /// Begins a line at `pc`; drops everything when there is no room for it.
    pub fn begin(pc: u32) -> Line {
        // The header, the ops and a `Link` behind them.
        if front().used + LINE_OPS + 2 > CELLS {
            reset();
        }
        Line { start: pc, header: front().used.max(1), cells: 0 }
    }

    /// Whether no further op fits.
    pub fn is_full(&self) -> bool {
        self.cells >= LINE_OPS
    }

    /// Appends a cell.
    pub fn push(&mut self, cell: Cell) {
        assert!(self.cells <= LINE_OPS);
        self.cells += 1;
        let index = self.header + self.cells;
        // SAFETY: `element` checks the index.
        unsafe {
            *CELLS_OF_CODE.element(index) = cell;
            *LINKS.element(index) = null();
        }
    }

    /// Makes the line findable; gives its first cell.
    ///
    /// `reaches` tells that its last instruction reaches into the next page.
    pub fn finish(self, reaches: bool) -> *const Cell {
        let page = page(self.start);
        let lines = PAGE_LINES.element(page);
        let header = Op { rm: HEADER, rd: self.cells as u8, ..Op::new(Kind::Illegal, 0) };
        // SAFETY: `element` checks the indexes.
        unsafe {
            let next = (*lines & !REACHED) as i32;
            *CELLS_OF_CODE.element(self.header) = Cell { op: Op { imm: next, ..header }, pc: page as u32 };
            *lines = *lines & REACHED | self.header as u32;
            if reaches {
                *PAGE_LINES.element((page + 1) % PAGES) |= REACHED;
            }
        }
        front().used = self.header + 1 + self.cells;
        let first = CELLS_OF_CODE.element(self.header + 1);
        insert(self.start, first);
        first
    }
}

/// Has jumps to `pc` look it up again: translated code has come.
pub fn announce(pc: u32) {
    let Some(found) = find(pc) else { return };
    // SAFETY: `find` gives cells of the arena.
    unsafe {
        *link_of(found) = null();
        *found.cast_mut() = Cell::link(pc);
    }
}

/// Drops everything.
pub fn reset() {
    let used = front().used;
    let mut header = 1;
    while header < used {
        // SAFETY: `element` checks the indexes.
        unsafe {
            let Cell { op, pc: page } = *CELLS_OF_CODE.element(header);
            let hash = hash((*CELLS_OF_CODE.element(header + 1)).pc);
            *HASHED.element(hash) = null();
            *HASHED.element(hash ^ 1) = null();
            *PAGE_LINES.element(page as usize) = 0;
            *PAGE_LINES.element((page as usize + 1) % PAGES) = 0;
            header += 1 + usize::from(op.rd);
        }
    }
    let front = front();
    front.used = 0;
    front.generation = front.generation.wrapping_add(1);
}

/// Where the number of used cells is.
pub fn used_cells() -> *const usize {
    &raw const front().used
}

/// Drops what was decoded from the `len` bytes at `address`, by whole pages.
pub fn flush(address: u64, len: u64) {
    let end = address.saturating_add(len).min(1 << 32);
    if front().used == 0 || address >= end {
        return;
    }
    let (first, last) = (page(address as u32), page((end - 1) as u32));
    if last - first >= FLUSH_PAGES {
        return reset();
    }
    for page in first..=last {
        // SAFETY: `element` checks the index.
        let lines = unsafe { PAGE_LINES.element(page).replace(0) };
        drop_lines((lines & !REACHED) as usize);
        if lines & REACHED != 0 {
            let before = PAGE_LINES.element((page + PAGES - 1) % PAGES);
            // SAFETY: as above. The page before keeps its mark: a line may still reach into it.
            let lines = unsafe { before.replace(*before & REACHED) };
            drop_lines((lines & !REACHED) as usize);
        }
    }
}

/// Makes the lines from this header on look themselves up again.
fn drop_lines(mut header: usize) {
    while header != 0 {
        // SAFETY: `element` checks the indexes.
        unsafe {
            let Op { rd: cells, imm: next, .. } = (*CELLS_OF_CODE.element(header)).op;
            for index in header + 1..=header + cells as usize {
                let cell = CELLS_OF_CODE.element(index);
                *cell = Cell::link((*cell).pc);
                *LINKS.element(index) = null();
            }
            header = next as usize;
        }
    }
}
