//! Reads all records of a table: this thread takes them out of the file, others make sense of them meanwhile.
//!
//! Making sense takes longer than reading, and a start with very many jobs waits for it. Nothing is decided here; the
//! records come back in the order of their rows.

use std::sync::mpsc::{Receiver, SendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;

use crate::parallel;

/// Rows handed over at a time: a millisecond or two of work.
const CHUNK: usize = 1000;
/// Most threads that make sense of records; more than a few only wait for the one that reads.
const MOST_THREADS: usize = 4;
/// Chunks that may wait for each of them, about a megabyte each.
const WAITING_CHUNKS: usize = 2;

/// Why not all records could be read.
pub(super) enum Unreadable {
    /// The file is at fault.
    File(rusqlite::Error),
    /// What is in the row called so makes no sense, for that reason.
    Row(String, String),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// Some rows in a row. Used again and again: fresh memory for each would cost more than what is put into it.
#[derive(Default)]
struct Chunk {
    number: usize,
    /// The records, one after the other.
    text: String,
    rows: Vec<Row>,
}

struct Row {
    /// Where its record ends in the text; it begins where the one before ends.
    end: usize,
    /// Its place in the table, by which it can be found again.
    seq: i64,
    /// What else there is.
    number: i64,
}

impl Chunk {
    /// Takes in a row with its place, its record, and a number.
    fn take(&mut self, row: &rusqlite::Row) -> rusqlite::Result<()> {
        // What is no text is no JSON either, and is found out as that.
        self.text.push_str(row.get_ref(1)?.as_str().unwrap_or_default());
        self.rows.push(Row { end: self.text.len(), seq: row.get(0)?, number: row.get(2)? });
        Ok(())
    }

    /// The records, or the place of the first one that makes no sense, and why.
    fn understand<T>(&self, record: Understand<T>) -> Result<Vec<(T, i64)>, (i64, String)> {
        let begins = std::iter::once(0).chain(self.rows.iter().map(|row| row.end));
        let rows = begins.zip(&self.rows);
        rows.map(|(begin, row)| match record(&self.text[begin..row.end]) {
            Ok(record) => Ok((record, row.number)),
            Err(error) => Err((row.seq, error.to_string())),
        })
        .collect()
    }

    fn emptied(mut self) -> Self {
        self.text.clear();
        self.rows.clear();
        self
    }
}

/// How to make sense of a record.
pub(super) type Understand<T> = fn(&str) -> serde_json::Result<T>;

/// The `record` of each row of `table`, in order, with what `number` is there. `name` is what a row is called in a message.
pub(super) fn read_all<T: Send>(
    db: &Connection,
    table: &str,
    name: &str,
    number: &str,
    record: Understand<T>,
) -> Result<Vec<(T, i64)>, Unreadable> {
    let (send, receive) = sync_channel(WAITING_CHUNKS * MOST_THREADS);
    let (give_back, given_back) = channel();
    let (receive, results) = (Arc::new(Mutex::new(receive)), Mutex::new(Vec::new()));
    let sql = format!("SELECT seq, record, {number} FROM {table} ORDER BY seq");
    let threads = parallel::threads(MOST_THREADS);
    let understand = |chunk: Chunk| {
        let understood = (chunk.number, chunk.understand(record));
        results.lock().unwrap_or_else(PoisonError::into_inner).push(understood);
        chunk.emptied()
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            let (receive, give_back) = (Arc::clone(&receive), give_back.clone());
            // Towards the end nobody needs them any more.
            let work =
                move || std::iter::from_fn(|| next(&receive)).for_each(|chunk| drop(give_back.send(understand(chunk))));
            // If the system refuses a thread, there are fewer; if all of them, this one does everything.
            drop(thread::Builder::new().name("store reader".into()).spawn_scoped(scope, work));
        }
        // Only they receive: if none is left, nothing is sent in vain.
        drop(receive);
        // They end when everything was sent, or could not be.
        read_chunks(db, &sql, move |chunk| {
            // Waiting for a place rather than helping: the others would run out of work meanwhile.
            match send.send(chunk) {
                Ok(()) => given_back.try_recv().unwrap_or_default(),
                Err(SendError(chunk)) => understand(chunk),
            }
        })
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    let mut records = Vec::with_capacity(results.len() * CHUNK);
    for (_, understood) in results {
        match understood {
            Ok(some) => records.extend(some),
            Err((seq, why)) => return Err(Unreadable::Row(name_of(db, table, name, seq), why)),
        }
    }
    Ok(records)
}

fn next(receive: &Mutex<Receiver<Chunk>>) -> Option<Chunk> {
    receive.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Fills chunks; `hand_over` returns an empty one for each.
fn read_chunks(db: &Connection, sql: &str, mut hand_over: impl FnMut(Chunk) -> Chunk) -> rusqlite::Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut chunk = Chunk::default();
    while let Some(row) = rows.next()? {
        chunk.take(row)?;
        if chunk.rows.len() == CHUNK {
            let number = chunk.number + 1;
            chunk = Chunk { number, ..hand_over(chunk) };
        }
    }
    hand_over(chunk);
    Ok(())
}

fn name_of(db: &Connection, table: &str, name: &str, seq: i64) -> String {
    let sql = format!("SELECT {name} FROM {table} WHERE seq = ?1");
    db.query_row(&sql, [seq], |row| row.get(0)).unwrap_or_else(|_| "without a name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(records: impl IntoIterator<Item = String>) -> Connection {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch("CREATE TABLE things (seq INTEGER PRIMARY KEY, name TEXT, record TEXT)").expect("a table");
        let mut insert = db.prepare("INSERT INTO things (name, record) VALUES ('thing ' || ?1, ?2)").expect("SQL");
        for (number, record) in records.into_iter().enumerate() {
            insert.execute((number, record)).expect("a row");
        }
        drop(insert);
        db
    }

    #[test]
    fn however_many_there_are_they_come_in_order() {
        for count in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 7 + 3] {
            let db = table((0..count).map(|number| number.to_string()));
            let Ok(records) =
                read_all(&db, "things", "name", "seq * 2", |record| serde_json::from_str::<usize>(record))
            else {
                panic!("{count}")
            };
            let expected: Vec<(usize, i64)> = (0..count).map(|number| (number, (number as i64 + 1) * 2)).collect();
            assert_eq!(records, expected);
        }
    }

    #[test]
    fn the_first_that_makes_no_sense_is_named() {
        for wrong in [0, CHUNK * 2 + 5] {
            let text = |number: usize| if number >= wrong { "{".to_owned() } else { number.to_string() };
            let db = table((0..CHUNK * 5).map(text));
            let Err(Unreadable::Row(name, why)) =
                read_all(&db, "things", "name", "seq", |record| serde_json::from_str::<usize>(record))
            else {
                panic!("{wrong} makes sense")
            };
            assert_eq!(name, format!("thing {wrong}"));
            assert!(!why.is_empty());
        }
    }
}
