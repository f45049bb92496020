//! `portcullis flush`: ends something in a running gateway.

use std::io::Write;

use portcullis_api::rows::FlushRow;
use portcullis_api::{Client, Flush, FlushFlows, Request};

use crate::cli::{FlushArgs, Flushable};
use crate::error::Error;
use crate::text::counted;
use crate::{output, socket};

/// Ends it, and says how much that was.
pub(crate) fn flush(args: &FlushArgs) -> Result<(), Error> {
    let socket = socket::given_or_found(args.socket.as_deref())?;
    let Flushable::Flows(flows) = &args.what;
    let request = Request::Flush(Flush::Flows(FlushFlows { filter: flows.filter() }));
    let mut ended = 0;
    for row in Client::connect(&socket)?.ask::<FlushRow>(&request)? {
        ended += row?.flows;
    }
    writeln!(output::stdout(), "{} ended", counted(ended, "flow"))?;
    Ok(())
}
