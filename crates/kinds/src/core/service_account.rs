//! ServiceAccount.

use crate::kind::Kind;
use crate::table;

pub(super) static KIND: Kind = Kind { cells: table::service_account, ..Kind::new("", "serviceaccounts") };
