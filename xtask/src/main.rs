//! Project automation: `cargo xtask COMMAND`.
//!
//! * `schema`: writes the catalog of built-in types; see docs/catalog.md.

mod schema;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("schema") => schema::run(&args.collect::<Vec<_>>()),
        Some(other) => bail!("no command {other:?}; there is: schema"),
        None => bail!("usage: cargo xtask schema …"),
    }
}
