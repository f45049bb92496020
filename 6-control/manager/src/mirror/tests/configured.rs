//! Configurations that follow each other: in the end the kernel has what the last one says, and all
//! that others made.

use ipnet::IpNet;
use proptest::prelude::*;

use super::kernel::{Entry, router};
use super::*;
use crate::configure::Configuration;
use crate::event::{Path, Placement, Protocol, Table, Target};
use crate::request::{Request, Router, StaticAction, StaticRoute};

const OTHERS: Protocol = Protocol(4);

/// What a file says.
#[derive(Clone, Default, Debug)]
struct File {
    routes: Vec<StaticRoute>,
    addresses: [Vec<IpNet>; 2],
}

/// A session whose manager has a configuration.
struct Managed {
    session: Session,
    configuration: Configuration,
    file: File,
    seconds: u64,
}

impl Managed {
    fn new(file: File) -> Self {
        let mut session = Session::settled();
        session.mirror.configure(file.addresses.clone().into(), vec![None; 2]);
        let configuration = Configuration::new(file.routes.clone());
        Self { session, configuration, file, seconds: 1 }
    }

    fn change(&mut self, file: File) {
        self.configuration.change_routes(file.routes.clone(), self.now());
        self.session.mirror.configure(file.addresses.clone().into(), vec![None; 2]);
        self.file = file;
    }

    fn now(&self) -> portcullis_packet::Instant {
        portcullis_packet::Instant(self.seconds * 1_000_000_000)
    }

    /// Asks the kernel for what is missing or too much. Nothing that the file says is ever taken away,
    /// and nothing that others made.
    fn configure(&mut self) -> usize {
        let now = self.now();
        let requests = self.configuration.requests(&self.session.mirror, now, true);
        for request in &requests {
            match request {
                Request::RemoveRoute(route) => {
                    let wanted = self.file.routes.iter().any(|other| other.to == route.prefix);
                    assert!(route.protocol == Protocol::OURS && !wanted, "{route:?}");
                }
                Request::RemoveAddress(address) => {
                    let tap = TAPS.iter().position(|tap| *tap == address.index).expect("a tap");
                    let wanted = self.file.addresses[tap].contains(&address.net);
                    assert!(address.protocol == Protocol::OURS && !wanted, "{address:?}");
                }
                _ => {}
            }
            if let Some(events) = self.session.kernel.obey(request) {
                self.session.announce(events);
            }
        }
        requests.len()
    }

    /// Until nothing is left to do, and for some time after that.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 20 {
            self.session.settle();
            self.seconds += 1;
            quiet = if self.configure() == 0 { quiet + 1 } else { 0 };
            assert!(self.seconds < 10_000, "it never comes to rest");
        }
    }

    fn check(&self) {
        let sorted = |mut routes: Vec<(IpNet, Target)>| {
            routes.sort();
            routes
        };
        let wanted = self.file.routes.iter().flat_map(targets_of).collect();
        assert_eq!(sorted(self.session.kernel.routes_of(Protocol::OURS)), sorted(wanted));
        for (tap, wanted) in TAPS.into_iter().zip(&self.file.addresses) {
            let nets = |protocol| -> BTreeSet<IpNet> {
                let addresses = self.session.kernel.addresses_of(tap);
                addresses.filter(|a| a.protocol == protocol).map(|a| a.net).collect()
            };
            let others = nets(OTHERS);
            let missing = |net: &&IpNet| !others.contains(net);
            assert_eq!(nets(Protocol::OURS), wanted.iter().filter(missing).copied().collect());
        }
    }
}

/// The entries that a kernel has for a static route.
fn targets_of(route: &StaticRoute) -> Vec<(IpNet, Target)> {
    let target = match &route.action {
        StaticAction::Blackhole => Target::Blackhole,
        StaticAction::Unreachable => Target::Unreachable,
        StaticAction::Prohibit => Target::Prohibit,
        StaticAction::Via(routers) => {
            let path = |router: &Router| {
                let tap = TAPS[router.on_link.expect("named").slot()];
                Path { index: tap, gateway: Some(router.address) }
            };
            let paths: Vec<Path> = routers.iter().map(path).collect();
            match paths.as_slice() {
                [path] => Target::Via(*path),
                paths if route.to.addr().is_ipv6() => {
                    return paths.iter().map(|path| (route.to, Target::Via(*path))).collect();
                }
                paths => Target::Multipath(paths.iter().map(|path| (*path, 1)).collect()),
            }
        }
    };
    vec![(route.to, target)]
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn via(to: &str, routers: &[u8]) -> StaticRoute {
    let to = net(to);
    let v6 = to.addr().is_ipv6();
    let on_link = Some(IfIndex(0));
    let routers = routers.iter().map(|last| Router { address: router(v6, *last), on_link });
    StaticRoute { to, action: StaticAction::Via(routers.collect()) }
}

fn wan(addresses: &[&str]) -> [Vec<IpNet>; 2] {
    [addresses.iter().map(|text| net(text)).collect(), vec![]]
}

#[test]
fn a_route_that_goes_before_the_manager_has_heard_that_it_came_is_found() {
    let routes = vec![via("20.0.0.0/8", &[2])];
    let mut managed = Managed::new(File { routes, ..File::default() });
    managed.session.lose(true);
    assert_eq!(managed.configure(), 1);
    managed.change(File::default());
    assert_eq!(managed.configure(), 0, "the mirror does not know of it yet");
    managed.settle();
    managed.check();
}

#[test]
fn an_address_that_is_kept_survives_the_one_that_the_kernel_takes_it_along_with() {
    let addresses = wan(&["10.0.0.1/24", "10.0.0.2/24", "10.0.1.1/24"]);
    let mut managed = Managed::new(File { addresses, ..File::default() });
    managed.settle();
    managed.check();
    let flags: Vec<_> = managed.session.kernel.addresses_of(TAPS[0]).map(|a| a.flags).collect();
    assert_eq!(flags, [0, libc::IFA_F_SECONDARY, 0], "the second depends on the first");
    managed.change(File { addresses: wan(&["10.0.0.2/24", "10.0.0.3/24"]), ..File::default() });
    managed.settle();
    managed.check();
}

#[test]
fn an_address_that_an_operator_took_away_stays_away_though_others_change() {
    let addresses = wan(&["10.0.0.1/24", "10.0.1.1/24"]);
    let mut managed = Managed::new(File { addresses, ..File::default() });
    managed.settle();
    let kept = *managed.session.kernel.addresses_of(TAPS[0]).next().expect("an address");
    let events = managed.session.kernel.obey(&Request::RemoveAddress(kept)).expect("it is there");
    managed.session.announce(events);
    managed.change(File { addresses: wan(&["10.0.0.1/24", "10.0.2.1/24"]), ..File::default() });
    managed.settle();
    let left: Vec<_> = managed.session.kernel.addresses_of(TAPS[0]).map(|a| a.net).collect();
    assert_eq!(left, [net("10.0.2.1/24")]);
}

#[test]
fn an_address_whose_prefix_length_changes_is_another_one() {
    let before = wan(&["10.0.0.1/24", "2001:db8::1/64"]);
    let mut managed = Managed::new(File { addresses: before, ..File::default() });
    managed.settle();
    let after = wan(&["10.0.0.1/25", "2001:db8::1/48"]);
    managed.change(File { addresses: after, ..File::default() });
    managed.settle();
    managed.check();
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Change(File),
    Configure,
    Others(Entry),
    OthersAddress(usize, IpNet),
    Remove(usize),
    Up(KernelIndex, bool),
    Lose(bool),
    ReadDump(usize),
    Turn,
    Refresh,
}

fn route() -> impl Strategy<Value = StaticRoute> {
    let to = prop::sample::select(vec!["0.0.0.0/0", "20.0.0.0/8", "20.1.0.0/16", "2001:db8::/32"]);
    let kinds = vec![StaticAction::Blackhole, StaticAction::Unreachable, StaticAction::Prohibit];
    let constant = prop::sample::select(kinds);
    let routers = prop::collection::btree_set((0_u16..2, 2_u8..5), 1..3);
    (to, prop_oneof![1 => constant.prop_map(Ok), 3 => routers.prop_map(Err)]).prop_map(
        |(to, what)| {
            let to = net(to);
            let action = what.unwrap_or_else(|routers| {
                let routers = routers.into_iter().map(|(on, last)| Router {
                    address: router(to.addr().is_ipv6(), last),
                    on_link: Some(IfIndex(on)),
                });
                StaticAction::Via(routers.collect())
            });
            StaticRoute { to, action }
        },
    )
}

fn address() -> impl Strategy<Value = IpNet> {
    let nets = ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "10.0.1.1/24", "2001:db8::1/64"];
    prop::sample::select(nets.map(net).to_vec())
}

fn file() -> impl Strategy<Value = File> {
    let addresses = || prop::collection::btree_set(address(), 0..5);
    let routes = prop::collection::vec(route(), 0..4);
    (routes, addresses(), addresses()).prop_map(|(mut routes, wan, lan)| {
        routes.sort_by_key(|route| route.to);
        routes.dedup_by_key(|route| route.to);
        File { routes, addresses: [wan.into_iter().collect(), lan.into_iter().collect()] }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let tap = prop::sample::select(TAPS.to_vec());
    let others = (route(), 5_u32..7).prop_map(|(route, metric)| {
        let (prefix, target) = targets_of(&route).swap_remove(0);
        Entry { table: Table::Main, prefix, metric, protocol: OTHERS, target }
    });
    let others_address = (0_usize..2, prop::sample::select(vec!["10.9.0.1/24", "10.0.0.3/24"]));
    prop_oneof![
        4 => file().prop_map(Step::Change),
        8 => Just(Step::Configure),
        2 => others.prop_map(Step::Others),
        1 => others_address.prop_map(|(tap, address)| Step::OthersAddress(tap, net(address))),
        2 => any::<usize>().prop_map(Step::Remove),
        2 => (tap, any::<bool>()).prop_map(|(tap, up)| Step::Up(tap, up)),
        1 => any::<bool>().prop_map(Step::Lose),
        4 => (0_usize..6).prop_map(Step::ReadDump),
        4 => Just(Step::Turn),
        4 => Just(Step::Refresh),
    ]
}

impl Managed {
    fn take(&mut self, step: Step) {
        let kernel = &mut self.session.kernel;
        let events = match step {
            Step::Change(file) => return self.change(file),
            Step::Configure => {
                // Announcements are not lost for seconds without anybody noticing.
                self.seconds += u64::from(!self.session.losing);
                self.configure();
                return;
            }
            Step::Others(entry) => kernel.add(entry, Placement::Last),
            Step::OthersAddress(tap, net) => kernel.add_address(TAPS[tap], net, OTHERS),
            Step::Remove(at) => kernel.remove(at),
            Step::Up(index, up) => kernel.set_up(index, up),
            Step::Lose(losing) => return self.session.lose(losing),
            Step::ReadDump(lines) => {
                self.session.read_dump(lines);
                return;
            }
            Step::Turn => {
                self.session.cycle.turn(&mut self.session.mirror);
                return;
            }
            Step::Refresh => {
                self.session.worker.refresh();
                return;
            }
        };
        self.session.announce(events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_configured_before_the_kernel_ends_up_with_what_the_last_file_says(
        first in file(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut managed = Managed::new(first);
        for step in steps {
            managed.take(step);
        }
        managed.session.lose(false);
        for tap in TAPS {
            let events = managed.session.kernel.set_up(tap, true);
            managed.session.announce(events);
        }
        managed.settle();
        let others = managed.session.kernel.routes_of(OTHERS);
        managed.check();
        // And nothing at all with one that says nothing.
        managed.change(File::default());
        managed.settle();
        managed.check();
        prop_assert_eq!(managed.session.kernel.routes_of(OTHERS), others);
        managed.session.check_same();
    }
}
