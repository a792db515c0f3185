//! The kernel, for the media threads: epoll, eventfd, packets, priorities. All `unsafe` of the crate is here.

use std::io;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::Priority;

/// What an event of [`Poll`] is about when it is the [`Wake`].
const WAKE: u64 = u64::MAX;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Wakes a thread that waits, from any other.
#[derive(Debug)]
pub(super) struct Wake {
    fd: OwnedFd,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let fd =
            unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?) };
        Ok(Self { fd })
    }

    /// Wakes it, or keeps it from falling asleep the next time.
    pub(super) fn wake(&self) {
        let one = 1u64;
        // SAFETY: the eight bytes live until the call returns. It can only fail when the counter is full, and then the
        // thread is awake already.
        unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Takes note of having been woken.
    pub(super) fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes that live until the call returns. Empty is no error worth a word.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    /// Waits for it, at most so long (`None`: without end). `true`: woken.
    pub(super) fn wait(&self, longest: Option<Duration>) -> bool {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let time = longest.map(timespec);
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one pollfd and perhaps a timespec, both live until the call returns.
        let woken = unsafe { libc::ppoll(&raw mut poll, 1, time, std::ptr::null()) } > 0;
        if woken {
            self.clear();
        }
        woken
    }
}

/// Sockets that have something to read.
#[derive(Debug)]
pub(super) struct Poll {
    fd: OwnedFd,
    ready: Box<[libc::epoll_event]>,
    len: usize,
}

impl Poll {
    /// One that is woken by `wake`, and tells of so many sockets at a time.
    pub(super) fn new(wake: &Wake, at_once: usize) -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        let ready = vec![libc::epoll_event { events: 0, u64: 0 }; at_once].into_boxed_slice();
        let mut poll = Self { fd, ready, len: 0 };
        poll.control(libc::EPOLL_CTL_ADD, wake.fd.as_raw_fd(), WAKE)?;
        if poll.fill(Some(Duration::ZERO)) < 0 {
            let why = "this kernel has no epoll_pwait2: Linux 5.11 or newer is needed";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(poll)
    }

    pub(super) fn add(&self, socket: &UdpSocket, call: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), u64::from(call))
    }

    pub(super) fn remove(&self, socket: &UdpSocket) {
        // It cannot fail for a socket that is in; one that is not needs no removing.
        let _ = self.control(libc::EPOLL_CTL_DEL, socket.as_raw_fd(), 0);
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event lives until the call returns, and the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }

    /// Waits until something can be read, at most so long (`None`: without end). `true`: the [`Wake`] was among it.
    pub(super) fn wait(&mut self, longest: Option<Duration>) -> bool {
        // An interrupted wait is a short one.
        self.len = usize::try_from(self.fill(longest)).unwrap_or(0);
        self.ready[..self.len].iter().any(|event| event.u64 == WAKE)
    }

    /// How many events are in the buffer now; negative: the call failed.
    fn fill(&mut self, longest: Option<Duration>) -> libc::c_long {
        let time = longest.map(timespec);
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the buffer has as many events as we say; the timespec lives until the call returns. Called by its
        // number since the C library has it only from 2.35 on; the kernel has it from 5.11 on.
        unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.ready.as_mut_ptr(),
                self.ready.len() as libc::c_int,
                time,
                std::ptr::null::<libc::sigset_t>(),
                8usize, // bytes of the kernel's signal set
            )
        }
    }

    /// The calls that have something to read, after a wait: by index, so that the shard may act between them.
    pub(super) fn ready(&self, at: usize) -> Option<u32> {
        let token = self.ready[..self.len].get(at)?.u64;
        Some(u32::try_from(token).unwrap_or(u32::MAX))
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Undoes a connect: the socket hears everybody again. It keeps its port.
pub(super) fn disconnect(socket: &UdpSocket) -> io::Result<()> {
    let nobody = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        // SAFETY: bytes without meaning; any value is one.
        sa_data: unsafe { MaybeUninit::zeroed().assume_init() },
    };
    let len = std::mem::size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the address lives until the call returns and is as long as we say.
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, len) }).map(drop)
}

/// Puts the calling thread before others; gives what was reached.
pub(super) fn raise_priority(wanted: Priority) -> Priority {
    // SAFETY: the parameter lives until the call returns; 0 is the calling thread.
    let real_time = || unsafe {
        let lowest = libc::sched_param { sched_priority: 1 };
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const lowest) == 0
    };
    // SAFETY: no pointers. On Linux a thread's id stands for the thread alone.
    let nice = || unsafe { libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as libc::id_t, -15) == 0 };
    if wanted == Priority::RealTime && real_time() {
        Priority::RealTime
    } else if wanted != Priority::Normal && nice() {
        Priority::Nice
    } else {
        Priority::Normal
    }
}

/// Keeps the calling thread on one core. `false`: there is no such core for us.
pub(super) fn pin_to(core: usize) -> bool {
    if core >= libc::CPU_SETSIZE as usize {
        return false;
    }
    // SAFETY: a zeroed set is an empty one; the core's number fits; 0 is the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &raw const set) == 0
    }
}
