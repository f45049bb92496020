//! Compiles the shim against the DPDK that pkg-config finds.

fn main() {
    println!("cargo::rerun-if-changed=shim");
    #[cfg(feature = "dpdk")]
    shim();
}

#[cfg(feature = "dpdk")]
fn shim() {
    // Asked for the flags only: the libraries that it would link are all of DPDK.
    let found =
        pkg_config::Config::new().atleast_version("22.11").cargo_metadata(false).probe("libdpdk");
    let library = match found {
        Ok(library) => library,
        Err(error) => {
            println!(
                "cargo::error=the feature `dpdk` needs DPDK 22.11 or newer with its headers \
                 (Debian: apt-get install libdpdk-dev pkg-config): {error}"
            );
            return;
        }
    };
    let mut build = cc::Build::new();
    build.files(["shim/eal.c", "shim/memory.c", "shim/device.c", "shim/burst.c"]);
    build.includes(&library.include_paths);
    build.opt_level(3).std("gnu11").warnings(true).extra_warnings(true);
    // One array holds frames and then their mbufs.
    build.flag("-fno-strict-aliasing");
    // What its headers are to be compiled with.
    build.flag("-include").flag("rte_config.h").flag("-march=corei7");
    // Headers are fetched to be written; processors without it take it for nothing.
    build.flag("-mprfchw");
    // Experimental calls are not taken.
    build.compile("portcullis_dpdk_shim");
    for path in &library.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for name in ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal"] {
        println!("cargo::rustc-link-lib=dylib={name}");
    }
}
