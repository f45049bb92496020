//! The workspace as `cargo metadata` describes it, reduced to what the order of the layers is
//! about: which crate lies in which folder, what it depends on, and what it is built from.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The number that a layer's folder starts with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Layer(u32);

impl Layer {
    /// The highest layer that knows neither sockets, clocks, threads nor the operating system.
    pub const LAST_PURE: Self = Self(3);

    /// The layer of a folder such as `2-tables` or `6-control/api`; none of one that has no number.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Option<Self> {
        let first = folder.components().next()?.as_os_str().to_str()?;
        let (number, _) = first.split_once('-')?;
        number.parse().ok().map(Self)
    }
}

/// One crate of the workspace.
#[derive(Debug)]
pub struct Member {
    /// The crate's name.
    pub name: String,
    /// Its folder, from the workspace's root.
    pub folder: PathBuf,
    /// The names of what its manifest asks for, for building, running or testing.
    pub asks_for: BTreeSet<String>,
    /// The names of everything that ends up in its builds, at any depth, tests left out.
    pub links: BTreeSet<String>,
    /// The first files of its library and its programs.
    pub roots: Vec<PathBuf>,
}

impl Member {
    /// The crate's layer; none for tests, benchmarks and developers' tools.
    #[must_use]
    pub fn layer(&self) -> Option<Layer> {
        Layer::of_folder(&self.folder)
    }
}

/// Every crate of this workspace.
///
/// # Panics
///
/// If cargo can't be run or says something that its documentation does not.
#[must_use]
pub fn members() -> Vec<Member> {
    let plain = metadata(&["--no-deps"]);
    let full = metadata(&["--filter-platform", &host()]);
    let links = Links::of(&full);
    let root = Path::new(text(&plain["workspace_root"]));
    list(&plain["packages"])
        .map(|package| {
            let manifest = Path::new(text(&package["manifest_path"]));
            let folder = manifest.parent().and_then(|dir| dir.strip_prefix(root).ok());
            Member {
                name: text(&package["name"]).to_owned(),
                folder: folder.expect("a member lies in the workspace").to_owned(),
                asks_for: list(&package["dependencies"])
                    .map(|dependency| text(&dependency["name"]).to_owned())
                    .collect(),
                links: links.from(text(&package["id"])),
                roots: list(&package["targets"])
                    .filter(|target| {
                        list(&target["kind"]).any(|kind| matches!(text(kind), "lib" | "bin"))
                    })
                    .map(|target| PathBuf::from(text(&target["src_path"])))
                    .collect(),
            }
        })
        .collect()
}

/// The resolved graph: a package's id, and what is linked into it.
struct Links {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Links {
    fn of(metadata: &Value) -> Self {
        let names = list(&metadata["packages"])
            .map(|package| (text(&package["id"]).to_owned(), text(&package["name"]).to_owned()))
            .collect();
        // A null kind is a normal dependency; the others are "dev" and "build".
        let is_linked = |dependency: &Value| {
            list(&dependency["dep_kinds"]).any(|dep_kind| dep_kind["kind"].is_null())
        };
        let edges = list(&metadata["resolve"]["nodes"])
            .map(|node| {
                let linked = list(&node["deps"])
                    .filter(|dependency| is_linked(dependency))
                    .map(|dependency| text(&dependency["pkg"]).to_owned())
                    .collect();
                (text(&node["id"]).to_owned(), linked)
            })
            .collect();
        Self { names, edges }
    }

    fn from(&self, id: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for linked in self.edges.get(next).into_iter().flatten() {
                if seen.insert(linked.as_str()) {
                    open.push(linked);
                }
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id).cloned()).collect()
    }
}

fn metadata(options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata speaks JSON")
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc can be run");
    let said = String::from_utf8(output.stdout).expect("rustc speaks UTF-8");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").into()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}
