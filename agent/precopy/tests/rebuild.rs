//! A recipe and a pool give back the image, whatever was sent before; and nothing else passes.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::fs::File;
use std::io::{Read, Seek};

use ecep_precopy::page::{PAGE, hash, is_zero};
use ecep_precopy::pool::Pool;
use ecep_precopy::recipe::{RecipeError, Sums, Writer, rebuild};
use ecep_precopy::sent::{Sent, Verdict};
use proptest::prelude::*;

/// A page with this content; few different ones, so that pages repeat.
fn page(seed: u8) -> Vec<u8> {
    vec![seed; PAGE]
}

/// Sends pages as a source's round does.
fn round(sent: &mut Sent, pool: &mut Pool, pages: &[u8]) {
    for seed in pages {
        let page = page(*seed);
        if !is_zero(&page) && matches!(sent.judge(hash(&page)), Verdict::New(_)) {
            pool.add(&page).unwrap();
        }
    }
}

fn recipe(sent: &Sent, image: &[u8]) -> (Vec<u8>, Sums) {
    let mut writer = Writer::new(Vec::new(), sent);
    image.iter().for_each(|seed| writer.page(&page(*seed)).unwrap());
    writer.finish().unwrap()
}

fn rebuilt(pool: &Pool, recipe: &[u8], limit: u64) -> Result<Vec<u8>, RecipeError> {
    let mut file: File = tempfile::tempfile().unwrap();
    rebuild(recipe, pool, &file, limit)?;
    let mut content = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut content).unwrap();
    Ok(content)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The image comes back byte by byte, and only what was not there before travels with it.
    #[test]
    fn what_comes_out_is_what_went_in(
        rounds in prop::collection::vec(prop::collection::vec(0..20_u8, 0..60), 0..4),
        image in prop::collection::vec(0..25_u8, 0..700),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut sent, mut pool) = (Sent::new(1000), Pool::make(folder.path(), 1000).unwrap());
        rounds.iter().for_each(|pages| round(&mut sent, &mut pool, pages));
        let (recipe, sums) = recipe(&sent, &image);
        let content = rebuilt(&pool, &recipe, 1000).unwrap();
        let expected: Vec<u8> = image.iter().flat_map(|seed| page(*seed)).collect();
        prop_assert!(content == expected);
        let known: Vec<u8> = rounds.concat();
        let fresh = image.iter().filter(|seed| **seed != 0 && !known.contains(seed)).count();
        prop_assert_eq!(sums, Sums { pages: image.len() as u64, fresh: fresh as u64 });
        prop_assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the pool has a name on disk");
    }

    /// Whatever a lying source writes ends with an error or an image of the agreed size, never with a panic.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::make(folder.path(), 10).unwrap();
        pool.add(&page(1)).unwrap();
        let _ = rebuilt(&pool, &bytes, 8);
    }
}

/// A page that was damaged on the way, or in the pool, is noticed before anything is restored.
#[test]
fn another_page_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut sent = Sent::new(10);
    assert_eq!(sent.judge(hash(&page(1))), Verdict::New(0));
    let mut pool = Pool::make(folder.path(), 10).unwrap();
    pool.add(&page(2)).unwrap();
    let (recipe, _) = recipe(&sent, &[1, 3]);
    assert!(matches!(rebuilt(&pool, &recipe, 10), Err(RecipeError::Differs)));
}

/// The destination's disk is not the source's to fill.
#[test]
fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut pool = Pool::make(folder.path(), 2).unwrap();
    pool.add(&[page(1), page(2)].concat()).unwrap();
    assert!(pool.add(&page(3)).is_err());
    assert!(pool.add(&[0; 10]).is_err());
    let sent = Sent::new(0);
    let (recipe, _) = recipe(&sent, &[1, 2, 3]);
    assert!(matches!(rebuilt(&pool, &recipe, 2), Err(RecipeError::Rules(_))));
}
