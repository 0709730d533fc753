//! An op's meaning, by its kind: the table's functions behind one `match`.

use shallop_machine::backend::{Atomic, Backend, Binary, Float, Step, Width};

use crate::decode::{Kind, Op};
use crate::f::Sign;
use crate::table::for_each_op;
use crate::{a, d, f, i, zicsr};

macro_rules! define_execute {
    ($($kind:ident $name:literal $mask:literal $bits:literal $format:ident
       $module:ident :: $function:ident ( $($argument:expr),* ))*) => {
        /// Executes (or translates) one op over a backend.
        ///
        /// # Errors
        /// Not an error: how control leaves, when the next instruction in memory does not follow.
        #[inline(always)]
        pub fn execute<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
            match op.kind {
                $(Kind::$kind => $module::$function(b, op $(, $argument)*),)*
                Kind::Illegal => Err(b.illegal(op.imm as u32)),
                Kind::Link => Err(b.jump(0)),
            }
        }
    };
}
for_each_op!(define_execute);
