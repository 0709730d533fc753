//! `Backend`: what an instruction's meaning is written over, so that it is written once.
//!
//! An interpreter's words are `u64` and each method does its work at once; a translator's words stand for values of
//! the code that it emits.

/// Bytes of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Byte,
    Half,
    Word,
    Double,
}

impl Width {
    #[inline(always)]
    pub const fn bytes(self) -> u64 {
        match self {
            Width::Byte => 1,
            Width::Half => 2,
            Width::Word => 4,
            Width::Double => 8,
        }
    }
}

/// Binary operations. Those on 32 bits (`…32`) take the low halves and sign-extend their result. Shifts take their
/// count modulo the width. Division follows RISC-V: by zero gives all ones, overflow gives the dividend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    ShiftRightSigned,
    Less,
    LessUnsigned,
    Equal,
    NotEqual,
    GreaterEqual,
    GreaterEqualUnsigned,
    Mul,
    MulHigh,
    MulHighUnsigned,
    MulHighSignedUnsigned,
    Div,
    DivUnsigned,
    Rem,
    RemUnsigned,
    Add32,
    Sub32,
    ShiftLeft32,
    ShiftRight32,
    ShiftRightSigned32,
    Mul32,
    Div32,
    DivUnsigned32,
    Rem32,
    RemUnsigned32,
}

/// Read-modify-write operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    Swap,
    Add,
    And,
    Or,
    Xor,
    Min,
    Max,
    MinUnsigned,
    MaxUnsigned,
}

/// Memory ordering of an atomic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub acquire: bool,
    pub release: bool,
}

/// Registers of control and status that user programs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Csr {
    /// Accrued floating-point exceptions.
    Flags,
    /// Dynamic rounding mode.
    Rounding,
    /// Both: flags in bits 0–4, mode in bits 5–7.
    FloatControl,
    /// `cycle`, `time` and `instret`: a counter that grows.
    Counter,
}

/// Floating-point operations on raw bits; a single is in the low 32 bits of its word, without a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    Add,
    Sub,
    Mul,
    Div,
    Sqrt,
    /// `a * b + c`, rounded once.
    FusedMultiplyAdd,
    Min,
    Max,
    Equal,
    Less,
    LessEqual,
    Classify,
    ToI32,
    ToU32,
    ToI64,
    ToU64,
    FromI32,
    FromU32,
    FromI64,
    FromU64,
    /// To the other format: single to double or double to single.
    Convert,
}

/// Format of a floating-point operation's operands (of its result, for `From…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    Single,
    Double,
}

/// What instructions are made of. A method that returns a `Leave` ends the straight line of code there.
pub trait Backend {
    /// A 64-bit value.
    type Word: Copy;
    /// How control goes on elsewhere than at the next instruction.
    type Leave;

    fn constant(&mut self, value: u64) -> Self::Word;
    /// Address of the current instruction.
    fn pc(&mut self) -> Self::Word;

    fn x(&mut self, register: u8) -> Self::Word;
    fn set_x(&mut self, register: u8, value: Self::Word);
    fn f(&mut self, register: u8) -> Self::Word;
    fn set_f(&mut self, register: u8, value: Self::Word);

    fn binary(&mut self, operation: Binary, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `yes` when `condition` is not 0, otherwise `no`.
    fn select(&mut self, condition: Self::Word, yes: Self::Word, no: Self::Word) -> Self::Word;

    /// Loads, sign-extending when `signed`, else zero-extending.
    fn load(&mut self, address: Self::Word, width: Width, signed: bool) -> Result<Self::Word, Self::Leave>;
    fn store(&mut self, address: Self::Word, value: Self::Word, width: Width) -> Result<(), Self::Leave>;
    /// Sign-extended value; the task then holds a reservation. `width` is `Word` or `Double`, as in all below.
    fn load_reserved(&mut self, address: Self::Word, width: Width, order: Order) -> Result<Self::Word, Self::Leave>;
    /// 0 when stored, 1 when the reservation was lost.
    fn store_conditional(
        &mut self,
        address: Self::Word,
        value: Self::Word,
        width: Width,
        order: Order,
    ) -> Result<Self::Word, Self::Leave>;
    /// The old value, sign-extended.
    fn atomic(
        &mut self,
        operation: Atomic,
        address: Self::Word,
        value: Self::Word,
        width: Width,
        order: Order,
    ) -> Result<Self::Word, Self::Leave>;

    /// A floating-point operation; `rounding` is an instruction's `rm` field, 7 the dynamic mode. The flags accrue.
    ///
    /// # Errors
    /// A reserved rounding mode makes the instruction, whose bits are `bits`, illegal.
    fn float(
        &mut self,
        operation: Float,
        precision: Precision,
        operands: [Self::Word; 3],
        rounding: u8,
        bits: u32,
    ) -> Result<Self::Word, Self::Leave>;

    fn csr(&mut self, csr: Csr) -> Result<Self::Word, Self::Leave>;
    fn set_csr(&mut self, csr: Csr, value: Self::Word);

    /// Goes to the address `offset` bytes from this instruction.
    fn jump(&mut self, offset: i32) -> Self::Leave;
    /// Goes to a computed address.
    fn jump_to(&mut self, address: Self::Word) -> Self::Leave;
    /// Goes to `offset` when `condition` is not 0, else to the next instruction.
    fn branch(&mut self, condition: Self::Word, offset: i32) -> Result<(), Self::Leave>;
    fn syscall(&mut self) -> Self::Leave;
    fn breakpoint(&mut self) -> Self::Leave;
    /// Makes stores to code visible to fetches, then goes on with the next instruction.
    fn fence_i(&mut self) -> Self::Leave;
    fn illegal(&mut self, bits: u32) -> Self::Leave;
}

/// What an instruction's meaning gives: nothing, when the next instruction follows.
pub type Step<B> = Result<(), <B as Backend>::Leave>;
