//! Bodies of messages to [`Event`]s, a file per kind.

mod address;
mod link;
mod neighbor;
mod next_hop;
mod route;

use super::bytes::{Fields, Header, Malformed};
use crate::event::{Event, Placement};

/// `linux/rtnetlink.h`; not in libc.
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
pub(super) const RTM_GETNEXTHOP: u16 = 106;

const NLMSG_NOOP: u16 = libc::NLMSG_NOOP as u16;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLMSG_OVERRUN: u16 = libc::NLMSG_OVERRUN as u16;

/// What a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// A change, or a line of a dump.
    Event(Event),
    /// Nothing that concerns the gateway.
    Nothing,
    /// The end of a dump.
    Done,
    /// The request succeeded (0) or failed (an errno), with the kernel's reason if it gave one.
    Acknowledged(i32, Option<Box<str>>),
    /// Messages were lost.
    Overrun,
}

/// Reads one message.
pub(crate) fn decode(header: Header, body: &[u8]) -> Result<Answer, Malformed> {
    let event = match header.kind {
        libc::RTM_NEWROUTE => {
            route::decode(body)?.map(|route| Event::Route(route, placement(header)))
        }
        libc::RTM_DELROUTE => route::decode(body)?.map(Event::RouteGone),
        libc::RTM_NEWNEIGH => neighbor::decode(body)?.map(Event::Neighbor),
        libc::RTM_DELNEIGH => neighbor::decode(body)?.map(|n| Event::NeighborGone(n.key)),
        RTM_NEWNEXTHOP => next_hop::decode(body)?.map(|(id, object)| Event::Object(id, object)),
        RTM_DELNEXTHOP => next_hop::decode(body)?.map(|(id, _)| Event::ObjectGone(id)),
        libc::RTM_NEWLINK => link::decode(body)?.map(Event::Link),
        libc::RTM_DELLINK => link::decode(body)?.map(|link| Event::LinkGone(link.index)),
        libc::RTM_NEWADDR => address::decode(body)?.map(Event::Address),
        libc::RTM_DELADDR => address::decode(body)?.map(Event::AddressGone),
        NLMSG_DONE => return Ok(done(body)),
        NLMSG_ERROR => return acknowledgement(header, body),
        NLMSG_OVERRUN => return Ok(Answer::Overrun),
        NLMSG_NOOP => None,
        _ => None,
    };
    Ok(event.map_or(Answer::Nothing, Answer::Event))
}

/// The end of a dump carries an errno, if it is a premature one.
fn done(body: &[u8]) -> Answer {
    match Fields(body).u32().map(|error| (error as i32).wrapping_neg()) {
        None | Some(..=0) => Answer::Done,
        Some(errno) => Answer::Acknowledged(errno, None),
    }
}

/// The kernel repeats the flags of the request that added the route.
const fn placement(header: Header) -> Placement {
    if header.has(libc::NLM_F_MULTI) {
        Placement::Dumped
    } else if header.has(libc::NLM_F_REPLACE) {
        Placement::Replace
    } else if header.has(libc::NLM_F_APPEND) {
        Placement::Last
    } else {
        Placement::First
    }
}

/// `struct nlmsgerr`, then the request or its header, then attributes with the kernel's words.
fn acknowledgement(header: Header, body: &[u8]) -> Result<Answer, Malformed> {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    const REQUEST_HEADER: usize = 16;
    let mut fields = Fields(body);
    let (Some(error), Some(length)) =
        (fields.u32(), Fields(body.get(4..).unwrap_or_default()).u32())
    else {
        return Err(Malformed("an acknowledgement without its number"));
    };
    let request = if header.has(libc::NLM_F_CAPPED) { REQUEST_HEADER } else { length as usize };
    let mut reason = None;
    if header.has(libc::NLM_F_ACK_TLVS) {
        let attributes = fields.0.get(request.next_multiple_of(4)..).unwrap_or_default();
        for attribute in Fields(attributes).attributes() {
            let (kind, value) = attribute?;
            if kind == NLMSGERR_ATTR_MSG {
                reason = Some(value.text()?.into());
            }
        }
    }
    Ok(Answer::Acknowledged((error as i32).wrapping_neg(), reason))
}
