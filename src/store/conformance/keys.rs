//! API keys.

use std::time::Duration;

use super::{House, Scene};
use crate::domain::KeyRecord;
use crate::store::fixtures::{NOW, key, key_id as id};
use crate::store::{KeyChange, MAX_DEAD_KEYS, Unit};

async fn change(scene: &Scene<'_>, keys: Vec<KeyChange>) {
    scene.put(Unit { keys, ..Unit::default() }).await;
}

pub async fn keys_come_back_as_they_were_and_change_as_told(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    assert_eq!(scene.reader.keys().await.expect("readable"), []);
    let mut keys: Vec<KeyRecord> = (0..4).map(key).collect();
    change(&scene, keys.iter().cloned().map(KeyChange::Added).collect()).await;
    assert_eq!(scene.reader.keys().await.expect("readable"), keys, "oldest first");
    let later = |seconds| NOW + Duration::from_secs(seconds);
    let changes = vec![
        KeyChange::Revoked { id: id(1), at: later(5) },
        KeyChange::Revoked { id: id(1), at: later(9) },
        KeyChange::Used { id: id(2), at: later(7) },
        KeyChange::Used { id: id(2), at: later(6) },
        KeyChange::Used { id: id(99), at: later(6) },
    ];
    change(&scene, changes).await;
    keys[1].revoked_at = Some(later(5));
    keys[2].last_used_at = Some(later(7));
    for _ in 0..2 {
        let found = scene.reader.keys().await.expect("readable");
        assert_eq!(found, keys, "the first revocation and the latest use count");
        scene.restart().await;
    }
}

pub async fn that_there_was_a_key_is_never_forgotten(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    assert!(!scene.reader.ever_had_key().await.expect("readable"));
    change(&scene, vec![KeyChange::Configured { at: NOW }]).await;
    assert!(scene.reader.ever_had_key().await.expect("readable"));
    assert_eq!(scene.reader.keys().await.expect("readable"), [], "the configuration's is not among them");
    scene.restart().await;
    assert!(scene.reader.ever_had_key().await.expect("readable"));
}

pub async fn dead_keys_are_kept_for_a_while_and_living_ones_always(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let dead = |number| KeyRecord { revoked_at: Some(NOW), ..key(number) };
    let mut changes = vec![KeyChange::Added(key(10_000))];
    changes.extend((100..=100 + MAX_DEAD_KEYS).map(|number| KeyChange::Added(dead(number))));
    changes.push(KeyChange::Added(key(10_001)));
    change(&scene, changes).await;
    let kept = scene.reader.keys().await.expect("readable");
    assert_eq!(kept.len(), MAX_DEAD_KEYS as usize + 2);
    assert_eq!((&kept[0].id, &kept[1].id), (&id(10_000), &id(101)), "the oldest dead one is gone");
    assert!(scene.reader.ever_had_key().await.expect("readable"));
}
