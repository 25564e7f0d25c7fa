//! A thread reads ahead while the model runs: records in windows, through a channel of few places.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Result;

use super::read::{Item, Source};

/// How much a window holds at most, but for its last record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        records: 1024,
        bytes: 8 << 20,
    };
}

/// Windows that wait while the model runs.
const WAITING: usize = 2;

/// Consecutive inputs.
#[derive(Default)]
pub(super) struct Window {
    pub(super) items: Vec<Item>,
    /// [`Source::position`] behind the last of them.
    pub(super) position: u64,
    bytes: usize,
}

impl Window {
    fn is_full(&self, limits: Limits) -> bool {
        self.items.len() >= limits.records || self.bytes >= limits.bytes
    }

    fn append(&mut self, mut other: Self) {
        self.items.append(&mut other.items);
        self.bytes += other.bytes;
        self.position = other.position;
    }
}

pub(super) struct Feed {
    windows: Receiver<Result<Window>>,
    thread: Option<JoinHandle<()>>,
    limits: Limits,
    /// An error that came after windows that were merged.
    error: Option<anyhow::Error>,
}

impl Feed {
    /// Starts reading. With `live`, a window is handed on as soon as no more input is there.
    pub(super) fn start(source: Box<dyn Source>, live: bool, limits: Limits) -> Result<Self> {
        let (sender, windows) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("albert-input".to_owned())
            .spawn(move || read(source, live, limits, &sender))?;
        Ok(Self {
            windows,
            thread: Some(thread),
            limits,
            error: None,
        })
    }

    /// The next window; waits for it.
    pub(super) fn next(&mut self) -> Result<Option<Window>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Ok(window) = self.windows.recv() else {
            // The reader ended; if it did so by a panic, that is ours.
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                resume_unwind(panic);
            }
            return Ok(None);
        };
        let mut window = window?;
        // Small windows of a live source that came while the model ran are one.
        while !window.is_full(self.limits) {
            match self.windows.try_recv() {
                Ok(Ok(more)) => window.append(more),
                Ok(Err(error)) => {
                    self.error = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(window))
    }
}

fn read(
    mut source: Box<dyn Source>,
    live: bool,
    limits: Limits,
    sender: &SyncSender<Result<Window>>,
) {
    let mut window = Window::default();
    loop {
        let item = source.next();
        let (ended, item) = match item {
            Ok(Some(item)) => (false, Some(item)),
            Ok(None) => (true, None),
            Err(error) => {
                // What was read before it is answered first.
                if window.items.is_empty() || sender.send(Ok(window)).is_ok() {
                    let _ = sender.send(Err(error));
                }
                return;
            }
        };
        if let Some(item) = item {
            window.bytes += item.as_ref().map_or(0, |record| record.size());
            window.items.push(item);
            window.position = source.position();
        }
        let hand_on = ended || window.is_full(limits) || live && !source.ready();
        if hand_on
            && !window.items.is_empty()
            && sender.send(Ok(std::mem::take(&mut window))).is_err()
        {
            return; // Nobody listens any more.
        }
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::flags::Format;
    use super::super::line::Lines;
    use super::super::read::{open, testing};
    use super::super::record::Field;
    use super::*;

    fn source(bytes: Box<dyn Read + Send>) -> Box<dyn Source> {
        let mut input = testing::input(b"", &[Field::TEXT], &[]);
        input.lines = Lines::new(bytes, 1000);
        open(input, Format::Text, true, false).expect("a reader")
    }

    fn place(item: &Item) -> u64 {
        match item {
            Ok(record) => record.place.number(),
            Err(failure) => failure.place.number(),
        }
    }

    /// Lines of ten bytes without end in memory; counts what was read.
    struct Endless {
        left: u64,
        read: Arc<AtomicU64>,
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let size =
                (buffer.len() / 10 * 10).min(usize::try_from(self.left).unwrap_or(usize::MAX));
            for line in buffer[..size].chunks_mut(10) {
                line.copy_from_slice(b"123456789\n");
            }
            self.left -= size as u64;
            self.read.fetch_add(size as u64, Ordering::SeqCst);
            Ok(size)
        }
    }

    #[test]
    fn a_million_lines_come_in_order_and_the_reader_is_never_far_ahead() {
        const LINES: u64 = 1_000_000;
        let read = Arc::new(AtomicU64::new(0));
        let bytes = Endless {
            left: LINES * 10,
            read: read.clone(),
        };
        let limits = Limits::DEFAULT;
        let mut feed = Feed::start(source(Box::new(bytes)), false, limits).expect("a thread");
        let (mut seen, mut furthest) = (0, 0);
        while let Some(window) = feed.next().expect("lines") {
            let ahead = read.load(Ordering::SeqCst) - seen * 10;
            furthest = furthest.max(ahead);
            for item in &window.items {
                seen += 1;
                assert_eq!(place(item), seen);
            }
            assert!(window.items.len() <= 2 * limits.records);
            assert_eq!(window.position, seen * 10);
        }
        assert_eq!(seen, LINES);
        // This window (of at most two merged), those that wait, one in the reader's hands, its buffer.
        let bound = (limits.records * (2 + WAITING + 1) * 10 + 2 * (1 << 16)) as u64;
        assert!(furthest <= bound, "{furthest} bytes ahead, at most {bound}");
    }

    #[test]
    fn windows_are_bounded_by_bytes_too() {
        let bytes = vec![b'x'; 50]
            .into_iter()
            .chain([b'\n'])
            .collect::<Vec<u8>>()
            .repeat(9);
        let limits = Limits {
            records: 1000,
            bytes: 120,
        };
        let bytes = source(Box::new(std::io::Cursor::new(bytes)));
        let mut feed = Feed::start(bytes, false, limits).expect("a thread");
        let mut sizes = Vec::new();
        while let Some(window) = feed.next().expect("lines") {
            sizes.push(window.items.len());
        }
        assert_eq!(sizes, [3, 3, 3]);
    }

    /// Gives what a channel gives, as a slow pipe does.
    struct Slow(mpsc::Receiver<&'static [u8]>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let bytes = self.0.recv().unwrap_or_default();
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_slow_pipe_is_answered_line_by_line() {
        let (pipe, bytes) = mpsc::channel();
        let mut feed =
            Feed::start(source(Box::new(Slow(bytes))), true, Limits::DEFAULT).expect("a thread");
        for (number, text) in [(1, &b"one\n"[..]), (2, b"two\n")] {
            // The next line is written after the last was handed on.
            pipe.send(text).expect("a reader");
            let window = feed.next().expect("a line").expect("a line");
            assert_eq!((window.items.len(), place(&window.items[0])), (1, number));
        }
        // What is there together comes together; half a line waits for its end.
        pipe.send(b"three\nfour\nfi").expect("a reader");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(feed.next().expect("lines").expect("lines").items.len(), 2);
        pipe.send(b"ve\n").expect("a reader");
        drop(pipe);
        assert_eq!(feed.next().expect("a line").expect("a line").items.len(), 1);
        assert!(feed.next().expect("the end").is_none());
    }

    #[test]
    fn what_was_read_before_an_error_comes_first() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("unplugged"))
            }
        }
        let bytes = std::io::Cursor::new(b"a\nb\n".to_vec()).chain(Broken);
        let mut feed =
            Feed::start(source(Box::new(bytes)), false, Limits::DEFAULT).expect("a thread");
        assert_eq!(feed.next().expect("lines").expect("lines").items.len(), 2);
        let error = format!("{:#}", feed.next().err().expect("the error"));
        assert_eq!(error, "cannot read FILE after line 2: unplugged");
    }
}
