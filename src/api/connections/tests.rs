use actix_web::body::{BodySize, MessageBody as _};
use actix_web::web::Bytes;

use tokio::time::Instant;

use super::slot::{Allowance, Timeout};
use super::*;
use crate::api::body::Pieces;
use crate::metrics::Metrics;

const HERE: &str = "127.0.0.1";

/// The connections of the only thread of a gateway with so many places.
fn connections(connection_limits: ConnectionLimits) -> Rc<Connections> {
    let metrics = Metrics::new().expect("consistent").connections;
    Connections::new(&connection_limits, 1, Arc::new(Permits::new(connection_limits.connections_per_address)), metrics)
}

fn connection_limits(connections: usize, connections_per_address: usize, kept_for_loopback: usize) -> ConnectionLimits {
    ConnectionLimits { connections, connections_per_address, kept_for_loopback, streams: 0, long_polls: 0 }
}

fn enter(connections: &Rc<Connections>, address: &str) -> Result<Connection, AdmitError> {
    connections.admit(Some(address.parse().expect("an address")))
}

fn admitted(connections: &Rc<Connections>, address: &str) -> Connection {
    enter(connections, address).unwrap_or_else(|refused| panic!("{address} is refused: {refused:?}"))
}

fn ended<'a>(all: impl IntoIterator<Item = &'a Connection>) -> Vec<bool> {
    all.into_iter().map(Connection::is_ended).collect()
}

#[test]
fn an_address_has_so_many_connections_and_this_machine_as_many_as_it_wants() {
    let all = connections(connection_limits(100, 2, 1));
    let first = admitted(&all, "192.0.2.1");
    let _second = admitted(&all, "192.0.2.1");
    assert_eq!(enter(&all, "::ffff:192.0.2.1").err(), Some(AdmitError::TooManyFromAddress));
    let _other = admitted(&all, "192.0.2.2");
    let _own: Vec<Connection> = (0..10).map(|_| admitted(&all, HERE)).collect();
    drop(first);
    let _again = admitted(&all, "192.0.2.1");
    assert_eq!(all.slots.borrow().all.len(), 13);
}

#[test]
fn the_one_that_waits_longest_makes_room() {
    let all = connections(connection_limits(4, 9, 1));
    let held = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|address| admitted(&all, address));
    // The first one is worked on, and the second begins to wait anew.
    let turn = held[0].begin(BodyState::counted(0));
    drop(held[1].begin(BodyState::counted(0)));
    let newer = admitted(&all, "192.0.2.4");
    assert_eq!(ended(&held), [false, false, true]);
    let _newest = admitted(&all, "192.0.2.5");
    assert_eq!(ended(held.iter().chain([&newer])), [false, true, true, false]);
    drop(turn);
    let _last = admitted(&all, "192.0.2.6");
    assert_eq!(ended(held.iter().chain([&newer])), [false, true, true, true], "it has waited for less time");
}

#[test]
fn where_all_are_worked_on_no_other_is_admitted() {
    let all = connections(connection_limits(2, 9, 1));
    let held = [admitted(&all, HERE), admitted(&all, "192.0.2.1")];
    let turns = held.each_ref().map(|connection| connection.begin(BodyState::counted(0)));
    assert_eq!(enter(&all, HERE).err(), Some(AdmitError::Full));
    drop(turns);
    let _other = admitted(&all, HERE);
}

/// Strangers that work hold all places that are theirs, and those that wait are the first to go.
#[test]
fn strangers_leave_some_places_to_this_machine() {
    let all = connections(connection_limits(4, 9, 2));
    let strangers = [admitted(&all, "192.0.2.1"), admitted(&all, "192.0.2.2")];
    let turns = strangers.each_ref().map(|connection| connection.begin(BodyState::counted(0)));
    assert_eq!(enter(&all, "192.0.2.3").err(), Some(AdmitError::Full));
    let own = [admitted(&all, HERE), admitted(&all, "::1")];
    drop(turns);
    // This machine's own have waited longer, and are not pushed out from elsewhere.
    let _stranger = admitted(&all, "192.0.2.3");
    assert_eq!((ended(&strangers), ended(&own)), (vec![true, false], vec![false, false]));
    // It may push out its own, as a proxy on it may have to.
    let _another = admitted(&all, HERE);
    assert_eq!((ended(&strangers), ended(&own)), (vec![true, false], vec![true, false]));
}

/// A connection of `address` on which so many bytes wait to be read.
fn unread(all: &Rc<Connections>, address: &str, bytes: usize) -> Connection {
    let connection = admitted(all, address);
    drop(connection.begin(BodyState::counted(0)));
    connection.set_unbuffered(bytes - 1);
    connection.set_unsent(1);
    connection
}

#[test]
fn what_waits_to_be_read_is_bounded_for_each_and_for_all() {
    let all = connections(connection_limits(100, 99, 1));
    let page = HELD_IN_ALL / SHARE_OF_ONE / 4;
    let greedy: Vec<Connection> = (0..5).map(|_| unread(&all, "192.0.2.1", page)).collect();
    assert_eq!(ended(&greedy), [true, false, false, false, false], "a fifth one is too much for one caller");
    let own: Vec<Connection> = (0..12).map(|_| unread(&all, HERE, page)).collect();
    assert_eq!((ended(&own), ended(&greedy[1..])), (vec![false; 12], vec![false; 4]));
    let other = unread(&all, "192.0.2.2", 1000);
    assert_eq!(ended(greedy.iter().chain([&other])), [true, true, false, false, false, false], "now for all together");
    // What is read counts no more, nor what is gone.
    own.iter().for_each(|connection| connection.set_unsent(0));
    drop(greedy);
    assert_eq!(all.slots.borrow().held, 1000);
    drop((own, other));
    assert_eq!((all.slots.borrow().held, all.slots.borrow().open, all.slots.borrow().remote), (0, 0, 0));
}

/// The slices of a large answer, such as the metrics, share its memory: as long as one is left, all of it is kept.
#[actix_web::test]
async fn an_answer_that_is_read_in_part_counts_whole() {
    const ANSWER: usize = 1 << 20;
    let all = connections(connection_limits(9, 9, 1));
    let connection = admitted(&all, "192.0.2.1");
    drop(connection.begin(BodyState::counted(0)));
    let mut answer = Box::pin(Pieces::new([Bytes::from(vec![0; ANSWER])], Some(connection.clone())));
    connection.set_unsent(1);
    while let BodySize::Sized(left @ 1..) = answer.size() {
        let held = all.slots.borrow().held;
        assert_eq!(held, ANSWER + 1, "{left} bytes are left");
        drop(std::future::poll_fn(|cx| answer.as_mut().poll_next(cx)).await);
    }
    assert_eq!(all.slots.borrow().held, 1, "what is left is in the buffer of the connection");
}

/// Whose key was shown last counts, wherever it was shown.
#[test]
fn a_key_is_one_caller_from_all_its_addresses() {
    let all = connections(connection_limits(100, 99, 1));
    let key = LimitKey::Key("4fJ2kQ9xZa".parse().expect("an id"));
    let each = HELD_IN_ALL / SHARE_OF_ONE / 2;
    let held = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|address| {
        let connection = admitted(&all, address);
        connection.note_caller(Some(&key));
        connection.set_unsent(each);
        connection
    });
    assert_eq!(ended(&held), [true, false, false]);
}

#[test]
fn heads_that_are_large_and_not_complete_count_too() {
    let all = connections(connection_limits(1000, 999, 1));
    let head = 100 << 10;
    let held: Vec<Connection> = (0..HELD_IN_ALL / head + 1)
        .map(|_| {
            let connection = admitted(&all, HERE);
            connection.received(head);
            connection
        })
        .collect();
    assert!(held[0].is_ended() && !held[1].is_ended());
    // Once it is complete, it is worked on and is no such thing any more.
    let _turn = held[1].begin(BodyState::counted(0));
    assert_eq!(all.slots.borrow().held, HELD_IN_ALL / head * head - head);
}

/// What reads a body waits for its caller; what does not, does not.
#[test]
fn bodies_that_are_read_and_not_complete_count_too() {
    let all = connections(connection_limits(2, 99, 1));
    let held = [admitted(&all, HERE), admitted(&all, HERE)];
    let turns = held.each_ref().map(|connection| connection.begin(BodyState::counted(60_000)));
    held.iter().for_each(|connection| connection.passed(50_000));
    assert_eq!(enter(&all, HERE).err(), Some(AdmitError::Full));
    assert_eq!(all.slots.borrow().held, 0);
    let reading = held[1].read_body();
    assert_eq!(all.slots.borrow().held, 50_000);
    held[1].passed(10_000);
    assert_eq!(enter(&all, HERE).err(), Some(AdmitError::Full), "it is complete");
    assert_eq!(all.slots.borrow().held, 0);
    let _other_reading = held[0].read_body();
    let _newcomer = admitted(&all, HERE);
    assert_eq!(ended(&held), [true, false]);
    drop((reading, turns));
}

#[test]
fn only_what_is_asked_for_is_handed_on() {
    let all = connections(connection_limits(9, 9, 1));
    let connection = admitted(&all, HERE);
    let allowance = || connection.with(|slot| slot.allowance()).expect("it is there");
    assert_eq!(allowance(), Allowance::Everything);
    let turn = connection.begin(BodyState::counted(5));
    connection.passed(3);
    assert_eq!(allowance(), Allowance::UpTo(2));
    connection.passed(2);
    assert_eq!(allowance(), Allowance::Nothing);
    drop(turn);
    let turn = connection.begin(BodyState::chunked());
    assert_eq!(allowance(), Allowance::Nothing);
    let reading = connection.read_body();
    assert_eq!(allowance(), Allowance::Everything);
    drop(reading);
    assert_eq!(allowance(), Allowance::Nothing);
    drop(turn);
    connection.set_unsent(1);
    assert_eq!(allowance(), Allowance::Nothing, "the answer is to be read first");
    connection.set_unsent(0);
    assert_eq!(allowance(), Allowance::Everything);
}

#[test]
fn every_wait_has_a_limit() {
    let all = connections(connection_limits(9, 9, 1));
    let connection = admitted(&all, HERE);
    let limit = |connection: &Connection| {
        let (at, what) = connection.deadline()?;
        Some((at.duration_since(Instant::now()).as_secs() + 1, what))
    };
    assert_eq!(limit(&connection), Some((10, Timeout::Head)), "it has to say what it wants at once");
    let turn = connection.begin(BodyState::counted(0));
    assert_eq!(limit(&connection), None);
    drop(turn);
    assert_eq!(limit(&connection), Some((75, Timeout::KeepAlive)));
    connection.received(1);
    assert_eq!(limit(&connection), Some((10, Timeout::Head)), "from the first byte of each request on");
    let begun = connection.deadline();
    connection.received(1);
    assert_eq!(connection.deadline(), begun, "and not from the latest one");
    drop(connection.begin(BodyState::counted(0)));
    connection.set_unsent(9);
    let begun = connection.deadline();
    assert_eq!(limit(&connection), Some((300, Timeout::UnreadAnswer)));
    connection.set_unsent(5);
    assert_eq!(connection.deadline(), begun, "some of it was read, which is not enough");
}
