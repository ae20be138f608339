//! Who may speak to whom.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use ecep_channel::{
    authority::Authority,
    channel::{ChannelError, EndReason},
    identity::{Identity, IdentityError},
    peer::Peer,
    tls::{Tls, TlsError},
};
use ed25519_dalek::SigningKey;

use crate::support::{Installation, at, connect, now, peer, soon, try_connect};

const YEAR: u64 = 366 * 24 * 60 * 60;

/// Each end learns the other's name from its certificate, in all three pairings.
#[tokio::test]
async fn each_end_knows_the_other() {
    let installation = Installation::new();
    let ((near, _in), (far, _in_far)) =
        connect(&installation.device("a"), &Peer::Cloud, &installation.cloud()).await;
    assert_eq!((near.peer(), far.peer()), (&Peer::Cloud, &peer("a")));
    let ((near, _in), (far, _in_far)) =
        connect(&installation.device("a"), &peer("b"), &installation.device("b")).await;
    assert_eq!((near.peer(), far.peer()), (&peer("b"), &peer("a")));
}

/// Another installation's end must get nowhere, whichever side it is on, and each side hears why.
#[tokio::test]
async fn another_authority_is_refused() {
    let (ours, theirs) = (Installation::new(), Installation::new());
    let (near, _) = try_connect(&ours.device("a"), &Peer::Cloud, &theirs.cloud()).await;
    assert!(matches!(near, Err(ChannelError::Tls(TlsError::Untrusted))), "{:?}", near.err());

    // A caller that trusts our cloud, with papers of another authority.
    let key = SigningKey::from_bytes(&rand::random());
    let certificate =
        theirs.authority.issue(&"a".parse().unwrap(), &key.verifying_key(), SystemTime::now()).unwrap();
    let mixed =
        Tls::new(&Identity::device(&certificate, &key, ours.authority.certificate()).unwrap()).unwrap();
    let (near, far) = try_connect(&mixed, &Peer::Cloud, &ours.cloud()).await;
    assert!(matches!(far, Err(ChannelError::Tls(TlsError::Untrusted))), "{:?}", far.err());
    match near {
        Err(ChannelError::Ended(EndReason::Lost(why))) => {
            assert!(why.contains("does not accept our certificate"), "{why}")
        }
        other => panic!("{:?}", other.err()),
    }
}

/// A device of ours must not pass for another one, nor for the cloud.
#[tokio::test]
async fn the_wrong_peer_is_refused() {
    let installation = Installation::new();
    for expected in [peer("b"), Peer::Cloud] {
        let (near, _) = try_connect(&installation.device("a"), &expected, &installation.device("c")).await;
        match near {
            Err(ChannelError::Tls(TlsError::WrongPeer { expected: said })) => assert_eq!(said, expected),
            other => panic!("{:?}", other.err()),
        }
    }
}

/// Expired papers: their owner is told at once; a peer whose clock disagrees is told of the clocks.
#[tokio::test]
async fn expired_certificates_are_refused() {
    let installation = Installation::new();
    let issued = SystemTime::now() - Duration::from_secs(2 * YEAR);
    let expired = installation.identity("a", issued);

    let own_clock = Tls::new(&expired).unwrap();
    let (near, _) = try_connect(&own_clock, &Peer::Cloud, &installation.cloud()).await;
    let message = near.err().unwrap().to_string();
    assert!(message.contains("expired") && message.contains("renew"), "{message}");

    // By its own slow clock the certificate holds: the cloud must refuse it all the same.
    let slow = Tls::with_clock(&expired, at(now() - 2 * YEAR + 60)).unwrap();
    let called = installation.cloud();
    let (_, far) = try_connect(&slow, &Peer::Cloud, &called).await;
    assert!(far.is_err());
}

/// A device that wakes in 1970 is told that its clock is wrong; the far side's message names the clocks, too.
#[tokio::test]
async fn a_clock_in_1970_is_named() {
    let installation = Installation::new();
    let identity = installation.identity("a", SystemTime::now());
    let woken = Tls::with_clock(&identity, at(5)).unwrap();
    let (near, _) = try_connect(&woken, &Peer::Cloud, &installation.cloud()).await;
    let message = near.err().unwrap().to_string();
    assert!(message.contains("1970-01-01T00:00:05Z") && message.contains("clock is wrong"), "{message}");
}

/// Renewal: asked for in time, and the new certificate works with the same key.
#[tokio::test]
async fn a_renewed_certificate_connects() {
    let installation = Installation::new();
    let key = SigningKey::from_bytes(&rand::random());
    let device = "a".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let old = SystemTime::now() - Duration::from_secs(300 * 24 * 60 * 60);
    for (issued, is_due) in [(old, true), (SystemTime::now(), false)] {
        let certificate = installation.authority.issue(&device, &key.verifying_key(), issued).unwrap();
        Identity::save_device(directory.path(), &certificate, installation.authority.certificate()).unwrap();
        let tls = Tls::new(&Identity::load_device(directory.path(), &key).unwrap()).unwrap();
        assert_eq!(tls.renewal_is_due(), is_due);
        let (_near, (far, _incoming)) = connect(&tls, &Peer::Cloud, &installation.cloud()).await;
        // By this the cloud knows a device whose key was changed from whoever has the old one.
        assert_eq!(far.peer_key(), Some(key.verifying_key().as_bytes().as_slice()));
    }
    let other = SigningKey::from_bytes(&rand::random());
    let mixed = Identity::load_device(directory.path(), &other);
    assert!(matches!(mixed, Err(IdentityError::OtherKey(_))));
}

/// The authority is made once, its key is secret, and half of it is never replaced by a new one.
#[tokio::test]
async fn the_authority_stays_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let first = Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
    let again = Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
    assert_eq!(first.certificate(), again.certificate());
    let key = directory.path().join("channel-ca.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = Authority::load_or_create(directory.path(), SystemTime::now()).err().unwrap().to_string();
    assert!(open.contains("chmod 600"), "{open}");
    std::fs::remove_file(&key).unwrap();
    let half = Authority::load_or_create(directory.path(), SystemTime::now()).err().unwrap().to_string();
    assert!(half.contains("backup"), "{half}");
}

/// Closing is heard by the other end, as closing.
#[tokio::test]
async fn a_close_is_told() {
    let installation = Installation::new();
    let ((near, _in), (far, _in_far)) =
        connect(&installation.device("a"), &Peer::Cloud, &installation.cloud()).await;
    soon("the close", near.close()).await;
    assert_eq!(near.ended().await, EndReason::Closed);
    assert_eq!(soon("the far end", far.ended()).await, EndReason::ClosedByPeer);
}
