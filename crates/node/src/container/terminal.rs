//! The terminal between a client and an interactive process: echo, editing of a line, Ctrl-C and Ctrl-D.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use super::io::{Input, Output, PIPE};

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: [u8; 2] = [8, 127];
const KILL_LINE: u8 = 21;
const LONGEST_LINE: usize = 4096;

pub(crate) struct Terminal {
    keys: DuplexStream,
    screen: Output,
    lines: DuplexStream,
    interrupted: Arc<Notify>,
}

impl Terminal {
    /// The process's input, and what makes it of the keys that are typed.
    pub(crate) fn new(keys: DuplexStream, screen: Output, interrupted: Arc<Notify>) -> (Input, Self) {
        let (lines, input) = tokio::io::duplex(PIPE);
        (Input::new(input), Self { keys, screen, lines, interrupted })
    }

    /// Never returns while the process lives: its end of input is not its end.
    pub(crate) async fn run(mut self) {
        let mut line = Vec::new();
        let mut keys = [0; 1024];
        'typing: while let Ok(count @ 1..) = self.keys.read(&mut keys).await {
            for key in &keys[..count] {
                let sent = match *key {
                    b'\r' | b'\n' => {
                        line.push(b'\n');
                        let _ = self.screen.write(b"\n").await;
                        self.lines.write_all(&std::mem::take(&mut line)).await
                    }
                    INTERRUPT => {
                        line.clear();
                        let _ = self.screen.write(b"^C\n").await;
                        self.interrupted.notify_waiters();
                        // A shell that waits for a line shows its prompt again.
                        self.lines.write_all(b"\n").await
                    }
                    END if line.is_empty() => break 'typing,
                    END => self.lines.write_all(&std::mem::take(&mut line)).await,
                    key if BACKSPACE.contains(&key) => {
                        if erase(&mut line) {
                            let _ = self.screen.write(b"\x08 \x08").await;
                        }
                        Ok(())
                    }
                    KILL_LINE => {
                        while erase(&mut line) {
                            let _ = self.screen.write(b"\x08 \x08").await;
                        }
                        Ok(())
                    }
                    key if line.len() < LONGEST_LINE && (key >= b' ' || key == b'\t') => {
                        line.push(key);
                        let _ = self.screen.write(&[key]).await;
                        Ok(())
                    }
                    _ => Ok(()),
                };
                if sent.is_err() {
                    break 'typing;
                }
            }
        }
        drop(self.lines);
        std::future::pending().await
    }
}

/// Removes the last character; false when there is none.
fn erase(line: &mut Vec<u8>) -> bool {
    while let Some(byte) = line.pop() {
        // Up to the first byte of a character.
        if byte & 0xc0 != 0x80 {
            return true;
        }
    }
    false
}
