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
    let Flushable::Flows(flows) = &args.what;
    let filter = flows.filter().ok_or(Error::WhichFlows)?;
    let request = Request::Flush(Flush::Flows(FlushFlows { filter }));
    let socket = socket::given_or_found(args.socket.as_deref())?;
    let mut ended = 0;
    for row in Client::connect(&socket)?.ask::<FlushRow>(&request)? {
        ended += row?.flows;
    }
    writeln!(output::stdout(), "{} ended", counted(ended, "flow"))?;
    Ok(())
}
