//! Images without a public registry: built from a static program alone, copied from engine to engine, or pushed to the
//! lab's own registry.

use std::fs;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Device, Registry};
use crate::{shell, workspace};

/// The sample application with visible state.
pub const COUNTER_IMAGE: &str = "ecep/counter:1";

/// The same with some weight: the engine tells of the progress of a download every half megabyte.
pub const LARGE_IMAGE: &str = "ecep/counter-large:1";

const LARGE_BYTES: u64 = 8 * 1024 * 1024;

/// Builds [`COUNTER_IMAGE`] on a device's engine from `examples/counter`.
///
/// # Errors
/// The compiler or the engine fails.
pub fn build_counter(device: &Device) -> Result<()> {
    let target = workspace().join("target");
    shell::show(
        Command::new(env!("CARGO"))
            .current_dir(workspace())
            .args(["rustc", "--quiet", "--release", "--package", "ecep-counter", "--bin", "ecep-counter"])
            .arg("--target-dir")
            .arg(&target)
            // The image is empty but for this program, so it carries its own C library.
            .args(["--", "-C", "target-feature=+crt-static"]),
    )?;
    let context = device.data_dir().join("counter-image");
    fs::create_dir_all(&context)?;
    fs::copy(target.join("release/ecep-counter"), context.join("ecep-counter"))?;
    fs::copy(workspace().join("examples/counter/Dockerfile"), context.join("Dockerfile"))?;
    shell::output(device.docker().args(["build", "--quiet", "--tag", COUNTER_IMAGE]).arg(&context))?;
    fs::remove_dir_all(&context)?;
    Ok(())
}

/// Builds [`LARGE_IMAGE`] on a device's engine that has [`COUNTER_IMAGE`].
///
/// # Errors
/// The engine fails.
pub fn build_large(device: &Device) -> Result<()> {
    build_layer(device, COUNTER_IMAGE, LARGE_IMAGE, ("padding", LARGE_BYTES))
}

/// Builds an image that is another one and a layer on top of it: a file of random bytes, with its name and size.
///
/// # Errors
/// The engine fails, or has no such image.
pub fn build_layer(device: &Device, base: &str, image: &str, (file, bytes): (&str, u64)) -> Result<()> {
    let context = device.data_dir().join("image-context");
    fs::create_dir_all(&context)?;
    // Random, because a layer travels compressed.
    let mut random = fs::File::open("/dev/urandom")?.take(bytes);
    io::copy(&mut random, &mut fs::File::create(context.join(file))?)?;
    fs::write(context.join("Dockerfile"), format!("FROM {base}\nCOPY {file} /{file}\n"))?;
    shell::output(device.docker().args(["build", "--quiet", "--tag", image]).arg(&context))?;
    fs::remove_dir_all(&context)?;
    Ok(())
}

/// Copies an image from one device's engine to another's.
///
/// # Errors
/// One of the engines refuses.
pub fn copy_image(image: &str, from: &Device, to: &Device) -> Result<()> {
    let mut save =
        from.docker().args(["save", image]).stdout(Stdio::piped()).spawn().context("cannot run docker")?;
    let archive = save.stdout.take().context("docker save has no output")?;
    let load = to.docker().args(["load", "--quiet"]).stdin(archive).stdout(Stdio::null()).status()?;
    let save = save.wait()?;
    if !save.success() || !load.success() {
        bail!("cannot copy {image} from {} to {}: docker said why above", from.name(), to.name());
    }
    Ok(())
}

/// Pushes an image from a device's engine to the registry and answers the name to pull it by.
///
/// # Errors
/// The engine has no such image, or the registry refuses.
pub fn push_image(image: &str, from: &Device, registry: &Registry) -> Result<String> {
    let name = format!("{}/{image}", registry.address());
    from.run_docker(["tag", image, &name])?;
    from.run_docker(["push", "--quiet", &name])?;
    // The name must come from a pull, not be there already.
    from.run_docker(["rmi", "--no-prune", &name])?;
    Ok(name)
}
