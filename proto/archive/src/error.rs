//! Why an archive is refused: sentences for the person who uploaded it.

use std::io;

/// Why an archive is refused, or could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Not one byte.
    #[error("the file is empty; upload a tar archive, which may be compressed by gzip or zstd")]
    Empty,
    /// An archive without entries.
    #[error(
        "the archive has nothing in it; pack the files again, for example `tar -czf app.tar.gz -C FOLDER .`"
    )]
    NoEntries,
    /// Another format.
    #[error("this is {0}; unpack it and pack it again as tar: `tar -czf app.tar.gz -C FOLDER .`")]
    OtherFormat(&'static str),
    /// No format that is known.
    #[error(
        "this is not an archive; upload a tar archive, which may be compressed by gzip or zstd: `tar -czf app.tar.gz -C FOLDER .`"
    )]
    NotAnArchive,
    /// It ends too early.
    #[error("the archive ends in the middle; pack it again, and upload it again")]
    Truncated,
    /// It does not end where it should.
    #[error("there is something behind the end of the archive; pack it again, one archive to a file")]
    Garbage,
    /// The compressed bytes make no sense.
    #[error(
        "the compressed bytes are damaged ({0}); pack the archive again, with no more than `zstd -19` where zstd packs it"
    )]
    Damaged(String),
    /// A header makes no sense.
    #[error("the archive is damaged behind the entry \"{after}\": {reason}; pack it again")]
    Malformed {
        /// The last entry that could be read, or nothing.
        after: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An extended header that says something that it may not.
    #[error("the header of \"{entry}\" is not taken: {reason}; pack the archive again with GNU tar")]
    Extension {
        /// The entry, as far as it is known.
        entry: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// `/etc/passwd`.
    #[error(
        "\"{entry}\" is an absolute path; pack paths that begin inside the folder (`tar -C FOLDER -cf app.tar .`)"
    )]
    AbsolutePath {
        /// The entry.
        entry: String,
    },
    /// `../x`.
    #[error(
        "\"{entry}\" leads out of the archive by \"..\"; pack paths that begin inside the folder (`tar -C FOLDER -cf app.tar .`)"
    )]
    ParentPath {
        /// The entry.
        entry: String,
    },
    /// A zero byte in a name.
    #[error("the name \"{entry}\" has a zero byte in it; rename the file")]
    NulInPath {
        /// The entry.
        entry: String,
    },
    /// A name in another encoding.
    #[error("the name \"{entry}\" is not UTF-8; rename the file")]
    NotUtf8 {
        /// The entry.
        entry: String,
    },
    /// A path or target beyond the limit.
    #[error(
        "\"{entry}\" is too long: a path may have {limit} bytes, and each name in it 255; use shorter names"
    )]
    LongPath {
        /// The entry, its beginning.
        entry: String,
        /// Bytes that a path may have.
        limit: usize,
    },
    /// All names together are beyond the limit.
    #[error("the names in the archive take more than {limit} bytes together; pack fewer or shorter ones")]
    LongNames {
        /// Bytes that they may take.
        limit: usize,
    },
    /// A name that was there before.
    #[error("\"{entry}\" comes twice in the archive; pack it again, each file once")]
    Twice {
        /// The entry.
        entry: String,
    },
    /// It would be written where a link leads to.
    #[error(
        "\"{entry}\" would be written through the link \"{link}\"; pack the files, not what a link leads to"
    )]
    ThroughLink {
        /// The entry.
        entry: String,
        /// The link.
        link: String,
    },
    /// Its folder is a file.
    #[error("\"{entry}\" lies in \"{file}\", which is a file; pack the archive again")]
    ThroughFile {
        /// The entry.
        entry: String,
        /// The file.
        file: String,
    },
    /// A symbolic link to an absolute path.
    #[error(
        "the link \"{entry}\" points to the absolute path \"{target}\"; make it relative, or pack what it points to (`tar -h`)"
    )]
    AbsoluteLink {
        /// The link.
        entry: String,
        /// Where it points to.
        target: String,
    },
    /// A symbolic link that leads out of the tree.
    #[error(
        "the link \"{entry}\" leads out of the archive (\"{target}\"); pack what it points to (`tar -h`)"
    )]
    LinkOut {
        /// The link.
        entry: String,
        /// Where it points to.
        target: String,
    },
    /// A symbolic link that leads nowhere, for ever.
    #[error("the link \"{entry}\" leads in a circle (\"{target}\"); remove it")]
    LinkLoop {
        /// The link.
        entry: String,
        /// Where it points to.
        target: String,
    },
    /// More links through links than are followed.
    #[error("the links in the archive lead through too many others; pack what they point to (`tar -h`)")]
    TangledLinks,
    /// A hard link to what is not there.
    #[error(
        "the hard link \"{entry}\" is to \"{target}\", which is no file that comes before it; pack it with `tar --hard-dereference`"
    )]
    HardLinkOut {
        /// The link.
        entry: String,
        /// To what.
        target: String,
    },
    /// A device, a pipe, a socket or something unknown.
    #[error("\"{entry}\" is {what}; only files, folders and links are taken: leave it out (`tar --exclude`)")]
    Special {
        /// The entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// A file with holes.
    #[error("\"{entry}\" is packed with its holes left out; pack it without `--sparse`")]
    Sparse {
        /// The entry.
        entry: String,
    },
    /// Too many entries.
    #[error("the archive has more than {limit} entries; pack fewer files, or put them in an image")]
    TooManyEntries {
        /// As many as it may have.
        limit: u64,
    },
    /// Too many bytes.
    #[error("the archive unpacks to more than {limit} bytes; leave out what the application does not need")]
    TooLarge {
        /// As many as it may have.
        limit: u64,
    },
    /// Suspiciously few packed bytes for that many.
    #[error(
        "the archive unpacks to more than {ratio} times its size, as archives do that are made to fill disks; pack it without so many equal bytes"
    )]
    Bomb {
        /// As many times as it may.
        ratio: u64,
    },
    /// Several images.
    #[error("the archive has {count} images ({tags}); save one: `docker save NAME:TAG`, for one platform")]
    SeveralImages {
        /// How many.
        count: usize,
        /// Their tags, the first few.
        tags: String,
    },
    /// No image that an engine could load.
    #[error("the image archive cannot be loaded: {reason}; save it again with `docker save NAME:TAG`")]
    BadImage {
        /// Why.
        reason: String,
    },
    /// A layer that its manifest names is not there.
    #[error(
        "the image archive lacks the layer \"{layer}\" that its manifest names; save it again with `docker save NAME:TAG`"
    )]
    MissingLayer {
        /// The layer.
        layer: String,
    },
    /// Something else is wanted.
    #[error("this is not an image archive; make one with `docker save NAME:TAG`")]
    NotAnImage,
    /// A base image's reference that is none.
    #[error(
        "\"{0}\" is not an image reference; use letters, digits and . _ - / : @ only, such as `python:3.13-slim`"
    )]
    Base(String),
    /// A folder that the files cannot go to.
    #[error(
        "\"{0}\" cannot be the folder of the files; use an absolute path such as `/app`, of letters, digits and . _ - + @ only, without \"..\""
    )]
    Directory(String),
    /// A command that cannot be run.
    #[error(
        "the install command has a zero byte in it or is longer than {0} bytes; put it in a script among the files"
    )]
    Install(usize),
    /// There is nothing to be built.
    #[error("the source bundle has no file {path}; say where in it the Dockerfile is")]
    NoDockerfile {
        /// Where it should be.
        path: String,
    },
    /// A file that is read as a text has more bytes than one has.
    #[error("\"{entry}\" has more than {limit} bytes; make it shorter")]
    LongText {
        /// The file.
        entry: String,
        /// Bytes that it may have.
        limit: usize,
    },
    /// A file that is read as a text is none.
    #[error("\"{entry}\" is not a text in UTF-8; write it anew")]
    NoText {
        /// The file.
        entry: String,
    },
    /// The source failed.
    #[error("the archive cannot be read: {0}; try again")]
    Read(#[source] io::Error),
    /// The destination failed.
    #[error(
        "the archive cannot be written: {0}; look for room on the disk, and whether the engine ended the connection"
    )]
    Write(#[source] io::Error),
}

impl ArchiveError {
    /// For functions that can only say `io::Error`.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<io::Error> for ArchiveError {
    /// The ends mark their own failures, so whatever is left was said by a decoder.
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(_) if kind == io::ErrorKind::UnexpectedEof => Self::Truncated,
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}
