//! In virtual time, with sources that answer after a while.

use std::collections::BTreeMap;

use super::*;
use crate::domain::policy::Source;

const SECOND: Duration = Duration::from_secs(1);

/// A schedule and what became of it so far.
struct World {
    schedule: Schedule,
    begun: Instant,
    now: Instant,
    /// When each request ends.
    ends: BTreeSet<(Instant, FeedId)>,
    paths: BTreeMap<FeedId, String>,
    asked: Vec<(Duration, String)>,
    /// Of each host that is slow.
    slow: HashMap<String, Duration>,
    failing: BTreeSet<String>,
    most_running: usize,
    wakes: usize,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            schedule: Schedule::new(now),
            begun: now,
            now,
            ends: BTreeSet::new(),
            paths: BTreeMap::new(),
            asked: Vec::new(),
            slow: HashMap::new(),
            failing: BTreeSet::new(),
            most_running: 0,
            wakes: 0,
        }
    }

    fn watch(&mut self, url: &str, watcher: &str, seconds: u32) -> FeedId {
        let source = Source::Http { url: url.into(), pointer: String::new(), headers: BTreeMap::new() };
        let request = Request::of(&source).expect("a request").expect("one");
        self.schedule.watch(request, self::watcher(watcher), SECOND * seconds, self.now)
    }

    /// Lets time pass.
    fn pass(&mut self, seconds: u32) {
        let until = self.now + SECOND * seconds;
        loop {
            self.wakes += 1;
            let (requests, wake_at) = self.schedule.start(self.now);
            for (id, request) in requests {
                let path = request.url().path().to_owned();
                let takes = self.slow.get(&request.authority()).copied().unwrap_or(SECOND / 100);
                self.asked.push((self.now - self.begun, path.clone()));
                self.paths.insert(id, path);
                self.ends.insert((self.now + takes, id));
            }
            self.most_running = self.most_running.max(self.ends.len());
            let end = self.ends.first().map(|(at, _)| *at);
            let next = [wake_at, end].into_iter().flatten().min().unwrap_or(until);
            self.now = next.min(until);
            if next >= until {
                return;
            }
            while let Some((at, id)) = self.ends.first().copied().filter(|(at, _)| *at <= self.now) {
                self.ends.remove(&(at, id));
                let failed = self.failing.contains(&self.paths[&id]);
                self.schedule.finish(id, failed, self.now);
            }
        }
    }

    fn count(&self, path: &str) -> usize {
        self.asked.iter().filter(|(_, asked)| asked == path).count()
    }
}

fn watcher(name: &str) -> Watcher {
    (name.parse().expect("an alias"), "metric".parse().expect("a name"))
}

#[test]
fn equal_requests_are_made_once_at_even_distances_for_all_who_want_them() {
    let mut world = World::new();
    let ids = ["one", "two"].map(|name| world.watch("http://api/x", name, 30));
    assert_eq!(ids[0], world.watch("http://api/x#y", "three", 60));
    world.pass(305);
    let asked = &world.asked;
    assert!((10..=11).contains(&asked.len()), "{asked:?}");
    assert!(asked[0].0 <= SECOND * 5, "{asked:?}");
    assert!(asked[1].0 - asked[0].0 >= SECOND * 15, "{asked:?}");
    assert!(asked[1..].windows(2).all(|pair| pair[1].0 - pair[0].0 == SECOND * 30), "{asked:?}");
    let (requests, _) = world.schedule.start(world.now + SECOND * 30);
    let waiting = world.schedule.finish(requests[0].0, false, world.now);
    assert_eq!(waiting, ["one", "three", "two"].map(watcher));
}

#[test]
fn sources_are_spread_over_the_interval() {
    let mut world = World::new();
    for number in 0..200 {
        world.watch(&format!("http://host-{}/{number}", number % 50), "r", 60);
    }
    world.pass(360);
    for half_minute in 2..12 {
        let from = SECOND * (half_minute * 30);
        let count = world.asked.iter().filter(|(at, _)| (from..from + SECOND * 30).contains(at)).count();
        assert!((60..140).contains(&count), "{count} from {from:?}");
    }
}

#[test]
fn no_more_than_32_are_asked_at_a_time_and_every_one_has_its_turn() {
    let mut world = World::new();
    for number in 0..200 {
        world.watch(&format!("http://host-{}/{number}", number % 50), "r", 1);
    }
    world.slow = (0..50).map(|host| (format!("host-{host}:80"), SECOND * 10)).collect();
    world.pass(150);
    assert_eq!(world.most_running, MAX_REQUESTS);
    let counts: BTreeSet<usize> = (0..200).map(|number| world.count(&format!("/{number}"))).collect();
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
}

#[test]
fn a_host_that_is_stuck_keeps_nothing_from_the_others() {
    let mut world = World::new();
    for number in 0..100 {
        world.watch(&format!("http://stuck/{number}"), "r", 1);
    }
    world.watch("http://quick/quick", "r", 1);
    world.slow.insert("stuck:80".into(), SECOND * 10);
    world.pass(60);
    assert_eq!(world.most_running, MAX_REQUESTS_PER_HOST + 1);
    assert!(world.count("/quick") >= 58, "{}", world.count("/quick"));
    assert!(world.wakes < 300, "it spins: {}", world.wakes);
}

#[test]
fn a_source_that_fails_is_asked_less_and_less_until_it_answers() {
    let mut world = World::new();
    world.watch("http://api/gone", "r", 10);
    world.watch("http://api/well", "r", 10);
    world.failing.insert("/gone".into());
    world.pass(1000);
    assert!((12..18).contains(&world.count("/gone")), "{}", world.count("/gone"));
    assert!(world.count("/well") >= 99);
    let before = world.count("/gone");
    for watcher in 0..20 {
        world.watch("http://api/gone", &format!("w{watcher}"), 10);
    }
    world.pass(80);
    assert_eq!(world.count("/gone"), before + 1, "it is asked no sooner because more want it");
    world.failing.clear();
    world.pass(100);
    let before = world.count("/gone");
    world.pass(100);
    assert_eq!(world.count("/gone"), before + 10, "it is asked as before");
}

#[test]
fn the_interval_is_the_shortest_that_is_wanted() {
    let mut world = World::new();
    let id = world.watch("http://api/x", "slow", 100);
    world.pass(10);
    assert_eq!(world.asked.len(), 1);
    world.watch("http://api/x", "fast", 10);
    world.pass(100);
    assert!((10..=12).contains(&world.asked.len()), "{:?}", world.asked);
    world.schedule.unwatch(id, &watcher("fast"));
    let before = world.asked.len();
    world.pass(310);
    assert!((3..=4).contains(&(world.asked.len() - before)), "{:?}", world.asked);
}

#[test]
fn what_is_wanted_no_more_is_asked_no_more_and_leaves_nothing() {
    let mut world = World::new();
    let (gone, slow) = (world.watch("http://api/gone", "r", 10), world.watch("http://slow/slow", "r", 10));
    world.slow.insert("slow:80".into(), SECOND * 10);
    world.pass(6);
    world.schedule.unwatch(gone, &watcher("r"));
    world.schedule.unwatch(slow, &watcher("r"));
    let (asked, wakes) = (world.asked.len(), world.wakes);
    world.pass(1000);
    assert_eq!(world.asked.len(), asked);
    assert!(world.wakes <= wakes + 3, "nothing wakes it");
    let Schedule { feeds, by_request, due, running, places, .. } = &world.schedule;
    assert!(feeds.is_empty() && by_request.is_empty() && due.is_empty() && running.is_empty() && places.is_empty());
    assert_ne!(world.watch("http://api/gone", "r", 10), gone);
}
