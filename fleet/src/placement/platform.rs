//! Which images a device runs: what kernels call an architecture, and what image configurations call it.

/// What `docker` calls the architecture that `uname -m` tells; the same text where it has no other name.
pub fn platform_of(uname: &str) -> &str {
    match uname {
        "x86_64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "armv8l" | "armv7l" => "arm/v7",
        "armv6l" => "arm/v6",
        "armv5tel" | "armv5tejl" => "arm/v5",
        "i386" | "i486" | "i586" | "i686" => "386",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Whether a device of this architecture, as `uname -m` tells it, runs an image for one of these platforms. An image of which nothing is
/// known may run everywhere. (64-bit ARM cores need not run 32-bit programs, so they are not taken for ones that do.)
pub fn runs(uname: &str, platforms: &[String]) -> bool {
    let mut known = platforms.iter().filter(|platform| !platform.is_empty()).peekable();
    if known.peek().is_none() {
        return true;
    }
    let own = platform_of(uname);
    known.any(|platform| {
        let platform = platform.strip_prefix("linux/").unwrap_or(platform);
        match (own, platform) {
            ("amd64", "386" | "amd64/v1") | ("arm64", "arm64/v8") | ("386", "386/sse2") => true,
            ("arm/v7" | "arm/v6", "arm" | "arm/v5") | ("arm/v7", "arm/v6") => true,
            (own, platform) => own == platform,
        }
    })
}
