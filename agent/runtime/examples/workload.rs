//! What the tests move about: a program whose whole state can be asked for. Standard library only, so that the compiler
//! alone makes a static program of it.
//!
//! - Port 9000: a stream. The n-th byte received on a connection must be `sent(n)`, and is answered with `answered(n)`;
//!   the first wrong byte ends the connection.
//! - Port 9001: a line is answered with `<random number> <count> <hash of the memory> <what the child says>`, and counts.
//! - A line of log every 200 ms. `say WORDS` only prints the words; `exit CODE` only exits.
//!
//! `serve MEGABYTES` holds that much random memory, and has a child process at the other end of two pipes.
#![allow(clippy::print_stdout, reason = "a container's standard output is its log")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn sent(n: u64) -> u8 {
    (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]
}

fn answered(n: u64) -> u8 {
    sent(n) ^ 0xA5
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", megabytes] => serve(megabytes.parse().unwrap_or(0)),
        ["child"] => child(),
        ["exit", code] => return ExitCode::from(code.parse().unwrap_or(99)),
        ["say", rest @ ..] => {
            println!("{}", rest.join(" "));
            Ok(())
        }
        _ => Err(io::Error::other("no such command")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("workload: {error}");
            ExitCode::FAILURE
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn serve(megabytes: usize) -> io::Result<()> {
    let number = random()?;
    let mut word = number | 1;
    let memory: Vec<u64> = (0..megabytes * 1024 * 1024 / 8)
        .map(|_| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word
        })
        .collect();
    let mut child =
        Command::new("/proc/self/exe").arg("child").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let missing = || io::Error::other("the child has no pipes");
    let pipes =
        (child.stdin.take().ok_or_else(missing)?, BufReader::new(child.stdout.take().ok_or_else(missing)?));
    let pipes = Arc::new(Mutex::new(pipes));
    let count = Arc::new(Mutex::new(0_u64));
    let memory = Arc::new(memory);
    let streams = TcpListener::bind(("0.0.0.0", 9000))?;
    thread::spawn(move || {
        for stream in streams.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
    let questions = TcpListener::bind(("0.0.0.0", 9001))?;
    thread::spawn(move || {
        for stream in questions.incoming().flatten() {
            let (pipes, count, memory) = (Arc::clone(&pipes), Arc::clone(&count), Arc::clone(&memory));
            thread::spawn(move || {
                for _ in BufReader::new(&stream).lines().map_while(Result::ok) {
                    let hash = memory.iter().fold(7_u64, |hash, word| hash.rotate_left(5) ^ word);
                    let Ok(mut count) = count.lock() else { return };
                    *count += 1;
                    let Ok(mut pipes) = pipes.lock() else { return };
                    let mut said = String::new();
                    let asked = pipes.0.write_all(b"?\n").and_then(|()| pipes.1.read_line(&mut said));
                    if asked
                        .and_then(|_| writeln!(&stream, "{number} {count} {hash} {}", said.trim()))
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    for tick in 0_u64.. {
        println!("tick {tick}");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut position, mut buffer) = (0_u64, [0; 16 * 1024]);
    loop {
        let size = stream.read(&mut buffer)?;
        if size == 0 {
            return Ok(());
        }
        for byte in &mut buffer[..size] {
            if *byte != sent(position) {
                println!("byte {position} is wrong");
                return Ok(());
            }
            *byte = answered(position);
            position += 1;
        }
        stream.write_all(&buffer[..size])?;
    }
}

fn child() -> io::Result<()> {
    let number = random()?;
    for _ in io::stdin().lock().lines().map_while(Result::ok) {
        println!("{number}");
        io::stdout().flush()?;
    }
    Ok(())
}
