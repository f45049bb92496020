//! `portcullis check`.

use std::io::Write;
use std::path::Path;

use portcullis_config::{Config, Host};

use crate::error::Error;
use crate::{host, output};

/// Says that a file is well, or everything that is wrong with it.
pub(crate) fn check(file: &Path) -> Result<(), Error> {
    let config = Config::load(file, &Host { name: &host::name() })?;
    let interfaces = count(config.interfaces().len(), "interface");
    let routes = count(config.routes().len(), "route");
    writeln!(output::stdout(), "{}: ok ({interfaces}, {routes})", file.display())?;
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
