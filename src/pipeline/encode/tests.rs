//! The order of batches, and what happens if the device runs out of memory, on a simulated device.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::*;
use crate::input::Text;
use crate::record::TokenizedText;
use crate::tokenize::{Encoding, Window};

/// A device with room for `room` tokens, which logs what it starts and finishes.
struct Device {
    room: usize,
    in_use: RefCell<usize>,
    log: RefCell<Vec<String>>,
}

struct Batch<'a> {
    device: &'a Device,
    tokens: usize,
    is_done: bool,
}

impl Device {
    fn of(room: usize) -> Self {
        Self {
            room,
            in_use: RefCell::default(),
            log: RefCell::default(),
        }
    }

    fn start(&self, windows: &WindowBatch, is_done: bool) -> Result<Batch<'_>> {
        let tokens: usize = batch_tokens(windows);
        if *self.in_use.borrow() + tokens > self.room {
            return Err(Error::new(Kind::Device, OutOfMemory));
        }
        *self.in_use.borrow_mut() += tokens;
        self.log.borrow_mut().push(format!("start {tokens}"));
        Ok(Batch {
            device: self,
            tokens,
            is_done,
        })
    }
}

impl PendingOutputs for Batch<'_> {
    fn is_ready(&self) -> bool {
        self.is_done
    }

    fn wait(self) -> Result<Outputs<Vec<f32>>> {
        *self.device.in_use.borrow_mut() -= self.tokens;
        let note = format!("finish {}", self.tokens);
        self.device.log.borrow_mut().push(note);
        Ok(Outputs::default())
    }
}

fn window(tokens: usize) -> TextWindow {
    TextWindow {
        text: Arc::new(TokenizedText {
            text: Text::new(tokens.to_string()),
            encoding: Encoding::default(),
        }),
        permit: None,
        window: Window {
            rows: 0..tokens,
            kept: 0..tokens,
        },
    }
}

/// Encodes batches of texts with these token counts; returns the token counts of the batches sent.
fn encoded(
    device: &Device,
    batches: &[&[usize]],
    on_cpu: bool,
) -> (Result<Ending>, Vec<Vec<usize>>) {
    let (to_encoder, from) = sync_channel(batches.len());
    for batch in batches {
        let windows = batch.iter().map(|tokens| Ok(window(*tokens))).collect();
        to_encoder.send(windows).expect("there is room");
    }
    drop(to_encoder);
    let (to, arrived) = sync_channel(100);
    let start = |windows: &WindowBatch| device.start(windows, on_cpu);
    let send = |batch| to.send(batch).is_ok();
    let ending = encode(start, &from, send, &Stop::default());
    drop(to);
    let batches = arrived.iter().map(|batch| {
        let windows = batch.windows.iter().flatten();
        windows.map(TextWindow::tokens).collect()
    });
    (ending, batches.collect())
}

#[test]
fn a_gpu_begins_the_next_batch_before_the_last_one_is_fetched() {
    let device = Device::of(100);
    let (ending, _) = encoded(&device, &[&[1], &[2], &[3]], false);
    assert_eq!(ending.expect("it fits"), Ending::Complete);
    let log = device.log.take();
    assert_eq!(
        log,
        [
            "start 1", "start 2", "finish 1", "start 3", "finish 2", "finish 3"
        ]
    );
}

#[test]
fn a_cpu_sends_each_batch_when_it_is_computed() {
    let device = Device::of(100);
    let (ending, _) = encoded(&device, &[&[1], &[2]], true);
    assert_eq!(ending.expect("it fits"), Ending::Complete);
    assert_eq!(
        device.log.take(),
        ["start 1", "finish 1", "start 2", "finish 2"]
    );
}

#[test]
fn a_batch_without_memory_beside_the_last_one_waits_for_it_whole() {
    let device = Device::of(10);
    let (ending, batches) = encoded(&device, &[&[3, 3], &[4, 4]], false);
    assert_eq!(ending.expect("it fits"), Ending::Complete);
    assert_eq!(batches, [[3, 3], [4, 4]]);
}

#[test]
fn a_batch_too_large_is_halved_until_it_fits_and_so_are_later_ones() {
    let device = Device::of(10);
    let (ending, batches) = encoded(&device, &[&[8, 7, 6, 5, 4, 3, 2, 1], &[9, 9]], false);
    assert_eq!(ending.expect("every text fits"), Ending::Complete);
    assert_eq!(batches.concat(), [8, 7, 6, 5, 4, 3, 2, 1, 9, 9]);
    assert!(
        batches
            .iter()
            .all(|texts| texts.iter().sum::<usize>() <= 10)
    );
}

#[test]
fn a_text_for_which_there_is_no_memory_is_an_error_after_the_records_before_it() {
    let device = Device::of(10);
    let (ending, batches) = encoded(&device, &[&[5], &[6, 11, 7]], false);
    let error = ending.expect_err("one text is too large");
    assert_eq!(error.kind(), Kind::Device);
    assert_eq!(
        error.to_string(),
        "could not encode a text of 11 tokens: the GPU is out of memory"
    );
    assert_eq!(batches.concat(), [5, 6]);
}

#[test]
fn texts_that_are_errors_keep_their_places_in_a_batch_that_is_split() {
    let bad = || Err(crate::input::BadText::default());
    let windows = vec![
        bad(),
        Ok(window(4)),
        bad(),
        Ok(window(4)),
        Ok(window(1)),
        bad(),
    ];
    let groups = split(windows, 5);
    let sizes: Vec<_> = groups.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3]);
}
