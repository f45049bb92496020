//! The firewall's rules, a line each, in their order.

use portcullis_api::rows::{RuleAction, RuleRow};

use crate::table::{Align, Cell, Look};
use crate::text::{first_of, grouped, printable};

pub(super) const COLUMNS: [(&str, Align); 10] = [
    ("PLACE", Align::Right),
    ("RULE", Align::Left),
    ("FROM", Align::Left),
    ("TO", Align::Left),
    ("SOURCE", Align::Left),
    ("DESTINATION", Align::Left),
    ("SERVICE", Align::Left),
    ("ACTION", Align::Left),
    ("LOG", Align::Left),
    ("HITS", Align::Right),
];

pub(super) fn rows(rule: &RuleRow) -> Vec<Vec<Cell>> {
    let look = match rule.action {
        RuleAction::Accept => Look::Good,
        RuleAction::Drop | RuleAction::Reject => Look::Bad,
    };
    vec![vec![
        rule.place.map(|place| place.to_string()).unwrap_or_default().into(),
        printable(&rule.name).into(),
        first_of(&rule.from).into(),
        first_of(&rule.to).into(),
        first_of(&rule.source).into(),
        first_of(&rule.destination).into(),
        first_of(&rule.service).into(),
        Cell::new(rule.action.name()).look(look),
        if rule.log { "log" } else { "" }.into(),
        grouped(rule.hits).into(),
    ]]
}
