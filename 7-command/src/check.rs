//! `portcullis check`.

use std::io::Write;
use std::path::Path;

use portcullis_config::{Config, Host};

use crate::error::Error;
use crate::text::counted;
use crate::{host, output};

/// Says that a file is well, or everything that is wrong with it.
pub(crate) fn check(file: &Path) -> Result<(), Error> {
    let config = Config::load(file, &Host { name: &host::name() })?;
    let interfaces = counted(config.interfaces().len() as u64, "interface");
    let routes = counted(config.routes().len() as u64, "route");
    writeln!(output::stdout(), "{}: ok ({interfaces}, {routes})", file.display())?;
    Ok(())
}
