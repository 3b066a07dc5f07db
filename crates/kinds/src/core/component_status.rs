//! ComponentStatus: made by the API server when it is asked for one, and only shown.

use crate::kind::Kind;
use crate::table;

pub(crate) const KIND: Kind = Kind { cells: table::component_status, ..Kind::new("", "componentstatuses") };
