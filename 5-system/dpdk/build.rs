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
    // What its headers are to be compiled with: its configuration, and the processor that it was built for.
    match flags() {
        Ok(flags) => build.flags(flags.split_ascii_whitespace()),
        Err(error) => {
            println!("cargo::error=pkg-config does not say how to compile for DPDK: {error}");
            return;
        }
    };
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        // Headers are fetched to be written; processors without it take it for nothing.
        build.flag("-mprfchw");
    }
    // Experimental calls are not taken.
    build.compile("portcullis_dpdk_shim");
    for path in &library.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for name in ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal"] {
        println!("cargo::rustc-link-lib=dylib={name}");
    }
}

/// The compiler flags of DPDK beside the folders of its headers, which the crate that asks pkg-config leaves out.
#[cfg(feature = "dpdk")]
fn flags() -> Result<String, String> {
    let program = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let answer = std::process::Command::new(program)
        .args(["--cflags-only-other", "libdpdk"])
        .output()
        .map_err(|error| error.to_string())?;
    if !answer.status.success() {
        return Err(String::from_utf8_lossy(&answer.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}
