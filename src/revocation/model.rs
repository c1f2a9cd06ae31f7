//! Threads that revoke and check at once.

use std::sync::Arc;

use shuttle::thread;

use super::key::{EntryKey, Kind};
use super::table::{Full, Table};
use crate::sync::atomic::{AtomicBool, Ordering};

/// Neighbours are in different shards.
fn key(n: u8) -> EntryKey {
    EntryKey([n; 16])
}

fn insert(table: &Table, kind: Kind, n: u8, time: u32, now: u32) -> Result<(), Full> {
    table.insert(kind, key(n), time, now, table.most())
}

/// One place is left, and two come for it: one gets it.
pub fn the_last_place_in_a_list_is_taken_once() {
    let table = Arc::new(Table::new(2, None));
    insert(&table, Kind::Id, 0, 100, 10).expect("room");
    let come = [(Kind::Id, 1), (Kind::Subject, 2)].map(|(kind, n)| {
        let table = Arc::clone(&table);
        thread::spawn(move || insert(&table, kind, n, 100, 10).is_ok())
    });
    let entered = come.map(|thread| thread.join().expect("no panic"));
    assert_eq!(entered.iter().filter(|entered| **entered).count(), 1, "{entered:?}");
    assert_eq!(table.get(Kind::Id, key(1), 10).is_some(), entered[0]);
    assert_eq!(table.get(Kind::Subject, key(2), 10).is_some(), entered[1]);
    assert_eq!(table.len(), 2);
}

/// The list is full of what has left: whoever comes finds room, also while another makes it.
pub fn what_has_left_makes_room_for_all_who_come_at_once() {
    let table = Arc::new(Table::new(2, None));
    for n in [0, 1] {
        insert(&table, Kind::Id, n, 20, 10).expect("room");
    }
    let come = [2, 3].map(|n| {
        let table = Arc::clone(&table);
        thread::spawn(move || insert(&table, Kind::Id, n, 100, 20))
    });
    assert_eq!(come.map(|thread| thread.join().expect("no panic")), [Ok(()), Ok(())]);
    assert_eq!(table.len(), 2);
}

/// Whatever is entered and swept meanwhile.
pub fn an_acknowledged_revocation_is_seen_by_every_later_check() {
    let table = Arc::new(Table::new(3, None));
    // They have left when the others come, and their shard is swept only to make room.
    for n in [2, 4] {
        insert(&table, Kind::Id, n, 100, 10).expect("room");
    }
    let acknowledged = Arc::new(AtomicBool::new(false));
    let revokes = {
        let (table, acknowledged) = (Arc::clone(&table), Arc::clone(&acknowledged));
        thread::spawn(move || {
            insert(&table, Kind::Id, 1, 900, 150).expect("room");
            acknowledged.store(true, Ordering::SeqCst);
        })
    };
    let others = [3, 5].map(|n| {
        let table = Arc::clone(&table);
        thread::spawn(move || insert(&table, Kind::Id, n, 900, 150).expect("room"))
    });
    let was_acknowledged = acknowledged.load(Ordering::SeqCst);
    let is_seen = || table.holds_any(Kind::Id) && table.get(Kind::Id, key(1), 150).is_some();
    assert!(is_seen() || !was_acknowledged);
    revokes.join().expect("no panic");
    assert!(is_seen());
    for other in others {
        other.join().expect("no panic");
    }
    assert!(is_seen());
    assert_eq!(table.len(), 3, "what is counted is what is there");
}
