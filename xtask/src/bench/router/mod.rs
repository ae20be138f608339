//! Measures our router beside others. The routers run on one core, the load generator on another; each case goes to every
//! router by turns, several rounds, and the medians count. Processor time is told for each call and each delivered event:
//! it is the steadiest figure on a machine that does other things too.

mod cases;
mod contestant;
mod cores;
mod figures;
mod generator;
mod goals;
mod listener;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Error, Result};

pub use figures::Figures;

use crate::stack::build_rust;
use crate::{interrupt, setup, workspace};
use cases::{Case, Load};
use contestant::{Contestant, Recipe};
use cores::Cores;
use figures::Row;
use generator::Generator;

/// What our router is called in the figures.
const OURS: &str = "ecep";

/// Something with a name, as in `nexus=ws://127.0.0.1:9000/`.
#[derive(Debug, Clone)]
pub struct Named {
    /// Before the sign.
    pub name: String,
    /// After it.
    pub value: String,
}

impl FromStr for Named {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = text.split_once('=').context("this is NAME=VALUE")?;
        Ok(Self { name: name.into(), value: value.into() })
    }
}

/// What is to be measured.
#[derive(Debug)]
pub struct Wanted {
    /// Only what goals are set for, shortly.
    pub is_quick: bool,
    /// How often.
    pub rounds: u32,
    /// Whether crossbar and NATS are installed and measured too.
    pub with_peers: bool,
    /// Routers that run already, by URL.
    pub peers: Vec<Named>,
    /// Other builds of our router, by program.
    pub builds: Vec<Named>,
    /// Only cases whose description contains this.
    pub only: Option<String>,
}

/// How long each run is measured, in milliseconds.
const MEASURED_MS: u32 = 1000;

/// Measures.
///
/// # Errors
/// A router does not start, or somebody pressed Ctrl-C. A load that fails is told in its row.
pub fn measure(wanted: &Wanted) -> Result<Figures> {
    let packages =
        ["-p", "ecep-router", "-p", "ecep-router-load", "--features", "ecep-router-load/async-nats"];
    let mut built = build_rust(&[&["--release"], &packages[..]].concat())?;
    let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no {name}"));
    let generator = Generator { program: take("ecep-router-load")?, measured_ms: MEASURED_MS };
    let recipes = recipes(wanted, take("ecep-router")?)?;
    let cores = Cores::take()?;
    let folder = workspace().join("target/bench-router");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bench = Bench { generator, cores, folder };
    let mut cases = if wanted.is_quick { cases::quick() } else { cases::all() };
    if let Some(only) = &wanted.only {
        cases.retain(|case| case.to_string().contains(only));
    }
    let rows = bench.all(&cases, &recipes, wanted.rounds)?;
    Ok(Figures { date: super::today()?, commit: super::commit()?, rows })
}

fn recipes(wanted: &Wanted, ours: PathBuf) -> Result<Vec<Recipe>> {
    let mut recipes = vec![Recipe::Ours { name: OURS.into(), program: ours }];
    for Named { name, value } in &wanted.builds {
        recipes.push(Recipe::Ours { name: name.clone(), program: value.into() });
    }
    if wanted.with_peers {
        let peers = setup::peers()?;
        recipes.extend([
            Recipe::Crossbar(peers.clone()),
            Recipe::Nats(peers.clone()),
            Recipe::NatsThroughLibrary(peers),
        ]);
    }
    for Named { name, value } in &wanted.peers {
        let known = recipes.iter_mut().find_map(|recipe| match recipe {
            Recipe::Elsewhere { name: known, urls } if known == name => Some(urls),
            _ => None,
        });
        match known {
            Some(urls) => urls.push(value.clone()),
            None => recipes.push(Recipe::Elsewhere { name: name.clone(), urls: vec![value.clone()] }),
        }
    }
    Ok(recipes)
}

struct Bench {
    generator: Generator,
    cores: Cores,
    folder: PathBuf,
}

impl Bench {
    fn all(&self, cases: &[Case], recipes: &[Recipe], rounds: u32) -> Result<Vec<Row>> {
        let (idle, busy): (Vec<Case>, Vec<Case>) =
            cases.iter().partition(|case| matches!(case.load, Load::Idle(_)));
        let mut rows = Vec::new();
        let mut contestants = recipes.iter().map(|recipe| self.start(recipe)).collect::<Result<Vec<_>>>()?;
        for case in busy {
            let mut of_case: Vec<Row> = recipes.iter().map(|recipe| row(case, recipe)).collect();
            for _ in 0..rounds {
                for (row, contestant) in of_case.iter_mut().zip(&contestants) {
                    self.round(row, contestant)?;
                }
            }
            rows.append(&mut of_case);
        }
        contestants.drain(..).try_for_each(Contestant::stop)?;
        // Memory that a router has from before would be used again, and not be seen: each gets a fresh one.
        for case in idle {
            for recipe in recipes {
                let mut row = row(case, recipe);
                let contestant = self.start(recipe)?;
                self.round(&mut row, &contestant)?;
                contestant.stop()?;
                rows.push(row);
            }
        }
        // A router that does not speak a way has no row for it.
        rows.retain(|row| !row.runs.is_empty() || !row.failures.is_empty());
        Ok(rows)
    }

    fn start(&self, recipe: &Recipe) -> Result<Contestant> {
        eprintln!("{} ...", recipe.name());
        let folder: &Path = &self.folder;
        recipe.start(folder, &self.cores).with_context(|| format!("{} does not start", recipe.name()))
    }

    fn round(&self, row: &mut Row, contestant: &Contestant) -> Result<()> {
        let Some(url) = contestant.url(row.case.transport) else { return Ok(()) };
        if contestant.is_through_library && matches!(row.case.load, Load::Idle(_)) {
            return Ok(());
        }
        let run = self.generator.run(&row.case, contestant, url, &self.cores);
        interrupt::check()?;
        match run {
            Ok(run) => {
                let cpu = run.router_cpu_us.unwrap_or_default();
                eprintln!(
                    "{}, {}: {:.0}/s, {cpu:.2} µs, {} bad",
                    row.case,
                    row.router,
                    run.per_second,
                    run.bad()
                );
                row.runs.push(run);
            }
            Err(error) => {
                eprintln!("{}, {}: FAILED: {error:#}", row.case, row.router);
                row.failures.push(format!("{error:#}"));
            }
        }
        Ok(())
    }
}

fn row(case: Case, recipe: &Recipe) -> Row {
    Row { case, router: recipe.name().into(), runs: Vec::new(), failures: Vec::new() }
}
