//! Entry points for the fuzz targets: the readers of text that a user's files reach. No logic here, and no promise that
//! they stay.

pub use crate::input::{Fault, Format, InputError, LINE_BYTES_MAX, Record, Records, Shape, records};
pub use crate::text::{Form, HexError, parse};
pub use crate::typed::{Misfit, Role, Type};
