//! Flows, a line each, and a line for all that is shown.

use std::io::Write;

use portcullis_api::rows::{Endpoint, FlowRow};
use portcullis_api::{Client, ClientError, FlowQuery, FlowSort, Request};
use serde_json::value::RawValue;

use super::endpoint;
use crate::cli::FlowsArgs;
use crate::error::Error;
use crate::output::stdout;
use crate::table::{Align, Cell};
use crate::text::{bytes, counted, duration, grouped, printable};

const COLUMNS: [(&str, Align); 11] = [
    ("PROTOCOL", Align::Left),
    ("STATE", Align::Left),
    ("FROM", Align::Left),
    ("TO", Align::Left),
    ("TRANSLATED", Align::Left),
    ("PACKETS", Align::Right),
    ("SENT", Align::Right),
    ("RETURNED", Align::Right),
    ("AGE", Align::Right),
    ("LEFT", Align::Right),
    ("RULE", Align::Left),
];

/// What is asked for. The gateway sorts only as many as it has to keep meanwhile.
pub(super) fn query(args: &FlowsArgs) -> FlowQuery {
    let sort = args.order().filter(|_| args.top.is_some());
    FlowQuery { filter: args.filter(), sort, top: args.top }
}

/// Asks, and prints the answer.
pub(super) fn show(
    client: &mut Client,
    request: &Request,
    args: &FlowsArgs,
    json: bool,
) -> Result<(), Error> {
    match args.order() {
        Some(order) if args.top.is_none() => {
            let rows = client.ask::<FlowRow>(request)?.collect::<Result<Vec<_>, _>>();
            let mut rows = rows?;
            rows.sort_by(|a, b| order.compare(a, b));
            let rows = rows.into_iter().map(Ok);
            if json { super::json(rows) } else { table(rows, None) }
        }
        _ if json => super::json(client.ask::<Box<RawValue>>(request)?),
        order => table(client.ask::<FlowRow>(request)?, args.top.zip(order)),
    }
}

/// A table, and below it how much that was; `limit` is how many at most, in which order.
fn table(
    answer: impl Iterator<Item = Result<FlowRow, ClientError>>,
    limit: Option<(u32, FlowSort)>,
) -> Result<(), Error> {
    let mut flows = 0;
    let mut total = (0_u64, 0_u64);
    super::table(answer, &COLUMNS, "no flows", |flow: &FlowRow| {
        flows += 1;
        total.0 = total.0.saturating_add(flow.all_packets());
        total.1 = total.1.saturating_add(flow.all_bytes());
        vec![line(flow)]
    })?;
    if flows == 0 {
        return Ok(());
    }
    let which = match limit {
        Some((top, order)) if u64::from(top) <= flows => {
            format!("the first {} by {order}", grouped(flows))
        }
        _ => counted(flows, "flow"),
    };
    writeln!(stdout(), "{which}: {}, {}", counted(total.0, "packet"), bytes(total.1))?;
    Ok(())
}

fn line(flow: &FlowRow) -> Vec<Cell> {
    vec![
        protocol(flow).into(),
        printable(&flow.state).into(),
        end(flow, flow.initiator()).into(),
        end(flow, flow.responder()).into(),
        translated(flow).into(),
        grouped(flow.all_packets()).into(),
        bytes(flow.bytes).into(),
        bytes(flow.reply_bytes).into(),
        duration(flow.age_seconds).into(),
        duration(flow.timeout_seconds).into(),
        flow.rule.as_deref().map(printable).unwrap_or_default().into(),
    ]
}

/// The protocol; of ICMP with the type of the query, and the code if it has any.
fn protocol(flow: &FlowRow) -> String {
    let name = printable(&flow.protocol);
    match (flow.icmp_type, flow.icmp_code) {
        (None, _) => name,
        (Some(kind), None | Some(0)) => format!("{name}/{kind}"),
        (Some(kind), Some(code)) => format!("{name}/{kind}/{code}"),
    }
}

/// What one side is called on the other, where that is not what it calls itself.
fn translated(flow: &FlowRow) -> String {
    let from = Some(flow.translated_initiator()).filter(|outside| *outside != flow.initiator());
    let to = Some(flow.translated_responder()).filter(|inside| *inside != flow.responder());
    let from = from.map(|outside| format!("from {}", end(flow, outside)));
    let to = to.map(|inside| format!("to {}", end(flow, inside)));
    from.into_iter().chain(to).collect::<Vec<_>>().join(" ")
}

fn end(flow: &FlowRow, (address, port): Endpoint) -> String {
    port.map_or_else(|| address.to_string(), |port| endpoint(&flow.protocol, address, port))
}
