//! Which system calls each role may make, and why.
//!
//! A file per role lists its calls, each with its reason; [`common`] has what every thread needs to
//! allocate, wait, panic and end. A call that is in no list ends the whole process
//! (`SECCOMP_RET_KILL_PROCESS`): a gateway that does what nobody wrote into it should stop, and the
//! supervisor sees it. The one softer answer is for opening files: a panic's backtrace tries to
//! read the program's debug information, and the message must come out even so; it is told
//! `EACCES`.
//!
//! The filters are looked at in the order they were installed, and the harshest answer counts
//! (seccomp(2)); so the soft answer is a filter of its own, and the list allows those calls.

mod common;
mod control;
mod dpdk;
mod io;
mod manager;
mod pipeline;
mod supervisor;
mod trap;

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::threads::Role;

/// One line of a list: a system call, and for which arguments it is allowed.
struct Allow {
    call: libc::c_long,
    when: When,
}

/// Condition on the arguments of a call, which are numbered from 0.
enum When {
    /// Any arguments.
    Always,
    /// The low half of an argument is one of these values.
    OneOf(u8, &'static [u32]),
    /// The low half of an argument has none of these bits.
    Without(u8, u32),
}

/// The call, whatever its arguments.
const fn allow(call: libc::c_long) -> Allow {
    Allow { call, when: When::Always }
}

/// The call, if argument number `argument` is one of `values`.
const fn allow_if(call: libc::c_long, argument: u8, values: &'static [u32]) -> Allow {
    Allow { call, when: When::OneOf(argument, values) }
}

/// The call, if argument number `argument` has none of `bits`.
const fn allow_without(call: libc::c_long, argument: u8, bits: u32) -> Allow {
    Allow { call, when: When::Without(argument, bits) }
}

/// A filter that could not be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The lists do not make a filter.
    #[error("cannot compile the seccomp filter of role {role}: {source}")]
    Compile {
        /// Whose filter.
        role: Role,
        /// Why not.
        source: BackendError,
    },
    /// The kernel does not take it.
    #[error("cannot install the seccomp filter of role {role}: {source}")]
    Install {
        /// Whose filter.
        role: Role,
        /// Why not.
        source: seccompiler::Error,
    },
}

/// The filter of one role, compiled. Compiling takes memory and time; it is done before the
/// thread has given anything up.
pub struct Filter {
    role: Role,
    soft: Option<BpfProgram>,
    hard: BpfProgram,
}

impl Filter {
    /// Compiles the lists of `role`.
    ///
    /// # Errors
    /// A list that makes no program, or a machine that there are no system call numbers for.
    pub fn for_role(role: Role) -> Result<Self, FilterError> {
        let compile = |source| FilterError::Compile { role, source };
        let lists: &[&[Allow]] = match role {
            Role::Pipeline => &[common::COMMON, pipeline::PIPELINE, common::SYMBOLISER],
            Role::Io => &[common::COMMON, io::FRAMES, io::SOCKETS, common::SYMBOLISER],
            Role::Worker => &[common::COMMON, io::FRAMES, common::SYMBOLISER],
            Role::Trap => &[common::COMMON, trap::TRAP, common::SYMBOLISER],
            Role::Manager => &[common::COMMON, manager::MANAGER, common::SYMBOLISER],
            Role::Control => &[common::COMMON, control::CONTROL],
            Role::Supervisor => &[common::COMMON, supervisor::SUPERVISOR],
            Role::Dpdk => &[common::COMMON, dpdk::DPDK, common::SYMBOLISER],
        };
        let soft = match role {
            Role::Pipeline | Role::Io | Role::Worker | Role::Trap | Role::Manager => Some(
                program(
                    &[common::SYMBOLISER],
                    SeccompAction::Allow,
                    SeccompAction::Errno(libc::EACCES as u32),
                )
                .map_err(compile)?,
            ),
            Role::Control | Role::Supervisor | Role::Dpdk => None,
        };
        let otherwise = match role {
            Role::Pipeline
            | Role::Io
            | Role::Worker
            | Role::Trap
            | Role::Manager
            | Role::Control => SeccompAction::KillProcess,
            // The one must live to tidy up, the other is other people's code.
            Role::Supervisor | Role::Dpdk => SeccompAction::Errno(libc::EPERM as u32),
        };
        let hard = program(lists, otherwise, SeccompAction::Allow);
        Ok(Self { role, soft, hard: hard.map_err(compile)? })
    }

    /// Puts the calling thread, and whatever it starts from now on, under the filter. There is no
    /// way back.
    ///
    /// # Errors
    /// The kernel's, for instance because seccomp is not built into it.
    pub fn install(&self) -> Result<(), FilterError> {
        let install = |source| FilterError::Install { role: self.role, source };
        if let Some(soft) = &self.soft {
            seccompiler::apply_filter(soft).map_err(install)?;
        }
        seccompiler::apply_filter(&self.hard).map_err(install)
    }
}

fn program(
    lists: &[&[Allow]],
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let target: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut unconditional = Vec::new();
    for line in lists.iter().copied().flatten() {
        let chain = rules.entry(line.call).or_default();
        match line.when {
            When::Always => unconditional.push(line.call),
            When::OneOf(argument, values) => {
                for &value in values {
                    chain.push(rule(argument, SeccompCmpOp::Eq, value)?);
                }
            }
            When::Without(argument, bits) => {
                let none_of = SeccompCmpOp::MaskedEq(bits.into());
                chain.push(rule(argument, none_of, 0)?);
            }
        }
    }
    // To seccompiler a call without rules is one that always matches.
    for call in unconditional {
        rules.insert(call, Vec::new());
    }
    SeccompFilter::new(rules, otherwise, listed, target)?.try_into()
}

/// The kernel reads the numbers compared here as 32 bits wide: ioctl requests, protection and
/// signal numbers, socket families.
fn rule(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompRule, BackendError> {
    let width = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, width, operator, value.into())?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_filter_that_compiles() {
        for role in Role::ALL {
            let filter = Filter::for_role(role).unwrap();
            assert!(filter.hard.len() < 4096, "{role}: BPF_MAXINSNS");
        }
    }
}
