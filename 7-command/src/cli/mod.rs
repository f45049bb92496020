//! What can be said on the command line.

mod flows;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use ipnet::IpNet;
use portcullis_api::parse_network;
use portcullis_gateway::GATEWAY_COMMAND;

pub(crate) use flows::{FlowsArgs, FlushFlowsArgs};

/// A software VPC gateway: checks its configuration, runs it, changes it, and shows how things are.
#[derive(Parser, Debug)]
#[command(name = "portcullis", version, disable_help_subcommand = true)]
#[command(infer_subcommands = false, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Check a configuration file and show everything that is wrong with it
    Check(CheckArgs),
    /// Run the gateway in the foreground
    Run(RunArgs),
    /// The process that `run` starts and watches over
    #[command(name = GATEWAY_COMMAND, hide = true)]
    GatewayProcess(GatewayProcessArgs),
    /// Have the running gateway take a configuration file, whole or not at all
    Apply(ChangeArgs),
    /// Show what `apply` would change
    Diff(ChangeArgs),
    /// Ask the running gateway how things are
    Show(ShowArgs),
    /// End flows
    Flush(FlushArgs),
    /// Print a JSON Schema of the configuration file
    Schema,
    /// Print a script that completes this command's arguments
    Completions {
        /// The shell to print it for
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The configuration file
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The control socket [default: /run/portcullis/<the gateway's name>.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace [default: $PORTCULLIS_LOG, else info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct GatewayProcessArgs {
    #[arg(long)]
    pub(crate) status: PathBuf,
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) file: PathBuf,
    #[arg(long)]
    pub(crate) log_level: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    /// The configuration file
    pub(crate) file: PathBuf,
    /// The gateway's control socket [default: /run/portcullis/<the name in the file>.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct FlushArgs {
    #[command(subcommand)]
    pub(crate) what: Flushable,
    /// The gateway's control socket [default: this host's, or the only one in /run/portcullis]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Flushable {
    /// Flows: some of them, or all. What they carry must be let in again as something new
    Flows(FlushFlowsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(subcommand)]
    pub(crate) what: What,
    /// The gateway's control socket [default: this host's, or the only one in /run/portcullis]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON: an array with an object per row
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum What {
    /// Threads, with CPUs, namespaces and privileges as read back from /proc
    Threads,
    /// Interfaces, their state, addresses and traffic
    Interfaces,
    /// Routes that packets are forwarded by
    Routes {
        /// Only this network and the networks inside of it
        prefix: Option<IpNet>,
        /// Only the route that packets to this address take
        #[arg(long, value_name = "ADDRESS")]
        to: Option<IpAddr>,
        /// Only routes of one origin: kernel, static, bgp, ospf
        #[arg(long)]
        protocol: Option<String>,
    },
    /// Neighbours and their link-layer addresses
    Neighbors {
        /// Only those on this interface
        #[arg(long)]
        interface: Option<String>,
    },
    /// Flows, with both directions' traffic, their translation, and the rule that let them in
    Flows(FlowsArgs),
    /// Address translation: pools and their ports, forwardings, static translations
    Nat {
        /// Also the mappings, that is what inside ports are called outside
        #[arg(long)]
        mappings: bool,
        /// Also the mappings of inside hosts of this network or with this address, only those
        #[arg(long, value_name = "NETWORK", value_parser = parse_network)]
        source: Option<IpNet>,
    },
    /// The firewall's rules, and how often each decided
    Firewall,
    /// Dropped packets, by reason
    Drops {
        /// Also reasons for which nothing was dropped
        #[arg(long)]
        all: bool,
    },
    /// Counters
    Counters {
        /// Only those with this text in their name
        name: Option<String>,
        /// Also those that are zero
        #[arg(long)]
        all: bool,
    },
    /// The configuration that the gateway runs with, defaults written out
    Config,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
