/* A disk that can lose power, be full or fail, for one process: loaded by LD_PRELOAD, unprivileged.
 *
 * Owns: every system call of the process that changes something under DISK_ROOT. The calls go on to
 * the real file system, and each is written to a journal, with its data, in the order in which they
 * happened; fsync and fdatasync are only written down, after a delay that can be set. What a power
 * cut would have left is computed from the journal by disk.py, which holds the models.
 * Must not know: what program runs above it, and what a test expects.
 *
 * How: a seccomp filter makes each of these calls raise SIGSYS, unless it comes from disk_raw below;
 * the handler does the work. So calls are seen that do not go through libc's functions, too
 * (the crate rustix makes its own, and libc's stdio calls libc's insides), which plain symbol
 * interposition would miss. Neither root nor a device nor FUSE is needed, so it runs in any CI.
 *
 * Environment: DISK_ROOT (an absolute path without links in it: the "device"), DISK_CONTROL (a file
 * of 4096 bytes, struct control below, which the test may change at any time), DISK_JOURNAL (the
 * file to append to; without it nothing is written down, and fsync reaches the real disk).
 *
 * What it cannot follow ends the process with a line and code 86, so that no test passes by
 * mistake: shared writable maps, holes punched, exchanged names, "..". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

struct control {                 /* in the file DISK_CONTROL */
    uint64_t capacity;           /* bytes that the files may occupy; 0: no limit */
    uint32_t write_errno;        /* what writes and new files fail with; 0: they work */
    uint32_t sync_errno;         /* what fsync and fdatasync fail with */
    uint32_t sync_delay_us;      /* each takes a random time up to this */
    uint32_t ready;              /* set once the process is under control */
    uint64_t used;               /* bytes that the files occupy */
    uint64_t refused;            /* calls that failed because of the above */
    uint64_t syncs;              /* fsync and fdatasync that succeeded */
    uint32_t tells;              /* statfs tells about the capacity, too; else it comes by surprise */
};

struct record {                  /* in the journal, followed by `len` bytes */
    uint32_t magic, op;
    uint64_t a, b, c;
    uint32_t len, zero;
};
enum { CREATE = 1, WRITE, SIZE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, LINK };
enum { MAGIC = 0x4b534944, TABLE = 1 << 16 };

struct inode {                   /* what is under the root */
    uint64_t number;             /* 0: free, 1: was used */
    uint64_t allocated;          /* end of what was written */
};

static char root[PATH_MAX];
static size_t root_len;
static dev_t root_dev;
static int journal = -1;
static struct control *control;
static struct inode inodes[TABLE];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t sync_count, random_state = 88172645463325252ull;

/* ---- the one place whose system calls pass the filter */

long disk_raw(long nr, long a, long b, long c, long d, long e, long f);
extern char disk_raw_after[];
#if defined(__x86_64__)
__asm__(".text\n.globl disk_raw\n.hidden disk_raw\n.type disk_raw,@function\ndisk_raw:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\n"
        "mov 8(%rsp),%r9\nsyscall\n.globl disk_raw_after\n.hidden disk_raw_after\n"
        "disk_raw_after:\nret\n");
#define ARG(uc, i) ((uc)->uc_mcontext.gregs[(int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[i]])
#define RESULT(uc) ((uc)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
__asm__(".text\n.globl disk_raw\n.hidden disk_raw\n.type disk_raw,@function\ndisk_raw:\n"
        "mov x8,x0\nmov x0,x1\nmov x1,x2\nmov x2,x3\nmov x3,x4\nmov x4,x5\nmov x5,x6\nsvc 0\n"
        ".globl disk_raw_after\n.hidden disk_raw_after\ndisk_raw_after:\nret\n");
#define ARG(uc, i) ((long)(uc)->uc_mcontext.regs[i])
#define RESULT(uc) ((uc)->uc_mcontext.regs[0])
#else
#error "no such processor here yet"
#endif

static void die(const char *what)
{
    char line[256];
    int n = snprintf(line, sizeof line, "disk.c: cannot follow this program: %s\n", what);
    disk_raw(SYS_write, 2, (long)line, n, 0, 0, 0);
    disk_raw(SYS_exit_group, 86, 0, 0, 0, 0, 0);
}

/* ---- what is under the root */

static struct inode *find(uint64_t number)
{
    for (uint64_t at = number * 0x9E3779B97F4A7C15ull >> 48;; at = (at + 1) % TABLE) {
        if (inodes[at].number == number)
            return &inodes[at];
        if (inodes[at].number == 0)
            return NULL;
    }
}

static void add(uint64_t number, uint64_t allocated)
{
    static int added;
    struct inode *known = find(number);
    uint64_t at = number * 0x9E3779B97F4A7C15ull >> 48;
    if (!known) {
        if (++added > TABLE / 2)
            die("too many files");
        while (inodes[at].number > 1)
            at = (at + 1) % TABLE;
        known = &inodes[at];
        known->number = number;
    }
    known->allocated = allocated;
    control->used += allocated;
}

static void forget(uint64_t number)
{
    struct inode *known = find(number);
    if (known) {
        control->used -= known->allocated;
        known->number = 1;
        known->allocated = 0;
    }
}

static void walk(const char *path)
{
    char below[PATH_MAX];
    struct stat st;
    DIR *folder = opendir(path);
    if (!folder || stat(path, &st))
        die("cannot read the root");
    add(st.st_ino, 0);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below
            || lstat(below, &st))
            die("cannot read the root");
        if (S_ISDIR(st.st_mode))
            walk(below);
        else if (S_ISREG(st.st_mode))
            add(st.st_ino, (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size
                               ? (uint64_t)st.st_blocks * 512 : (uint64_t)st.st_size);
    }
    closedir(folder);
}

static int is_under(int fd, struct stat *st)
{
    return !fstat(fd, st) && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        && st->st_dev == root_dev && find(st->st_ino) != NULL;
}

/* The absolute path, in `out`; whether it is the root or under it. */
static int path_under(int dir, const char *path, char *out)
{
    char link[64];
    size_t len = 0;
    if (!path)
        return 0;
    if (path[0] != '/') {
        if (dir == AT_FDCWD)
            strcpy(link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, out, PATH_MAX - 2);
        if (n < 0)
            return 0;
        len = n;
        if (path[0])
            out[len++] = '/';
    }
    if (len + strlen(path) >= PATH_MAX)
        return 0;
    strcpy(out + len, path);
    len = strlen(out);
    while (len > 1 && out[len - 1] == '/')
        out[--len] = 0;
    int under = !strncmp(out, root, root_len) && (out[root_len] == 0 || out[root_len] == '/');
    if (under && (strstr(out, "/../") || (len > 3 && !strcmp(out + len - 3, "/.."))))
        die("a path with ..");
    return under;
}

/* The folder's inode; `name` points at the last part. */
static uint64_t parent(char *path, char **name)
{
    struct stat st;
    char *slash = strrchr(path, '/');
    *slash = 0;
    int failed = stat(path, &st);
    *slash = '/';
    *name = slash + 1;
    return failed ? 0 : st.st_ino;
}

/* ---- the journal */

static void put(const void *data, size_t len)
{
    while (len) {
        long n = disk_raw(SYS_write, journal, (long)data, len, 0, 0, 0);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            die("the journal cannot be written");
        data = (const char *)data + n;
        len -= n;
    }
}

static void note(uint32_t op, uint64_t a, uint64_t b, uint64_t c, const void *data, uint32_t len)
{
    char small[sizeof(struct record) + 2 * NAME_MAX + 2];
    struct record record = {MAGIC, op, a, b, c, len, 0};
    if (journal < 0)
        return;
    memcpy(small, &record, sizeof record);
    if (data && len <= sizeof small - sizeof record) {
        memcpy(small + sizeof record, data, len);
        put(small, sizeof record + len);
    } else {
        put(small, sizeof record);
        if (data)
            put(data, len);
    }
}

/* A sync that covers everything noted so far, at once. */
static void note_sync(uint64_t number)
{
    uint64_t token = ++sync_count;
    note(SYNC_BEGIN, number, token, 0, NULL, 0);
    note(SYNC_END, number, token, 0, NULL, 0);
}

/* ---- the calls */

static long refuse(int error)
{
    control->refused++;
    return -error;
}

/* How many of `len` bytes at `offset` the disk still takes. */
static size_t room(const struct inode *inode, uint64_t offset, size_t len)
{
    uint64_t end = offset + len;
    if (!control->capacity || end <= inode->allocated)
        return len;
    uint64_t left = control->capacity > control->used ? control->capacity - control->used : 0;
    uint64_t growth = end - inode->allocated;
    if (growth <= left)
        return len;
    return growth - left >= len ? 0 : len - (growth - left);
}

static void grown(struct inode *inode, uint64_t end)
{
    if (end > inode->allocated) {
        control->used += end - inode->allocated;
        inode->allocated = end;
    }
}

/* write, writev, pwrite64, pwritev, pwritev2 to a file under the root, as one gathered write. */
static long write_under(int fd, const struct iovec *pieces, int count, int64_t at, int flags)
{
    static struct iovec cut[1024];
    struct stat st;
    size_t total = 0, left;
    int64_t offset = at, used = 0;
    if (count < 0 || count > 1024)
        return -EINVAL;
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    fstat(fd, &st);
    struct inode *inode = find(st.st_ino);
    int status = fcntl(fd, F_GETFL);
    if (!inode) /* its last name was removed meanwhile: nothing of it outlives the process */
        return at < 0 ? disk_raw(SYS_writev, fd, (long)pieces, count, 0, 0, 0)
                      : disk_raw(SYS_pwritev, fd, (long)pieces, count, at, 0, 0);
    if ((status & O_APPEND) || (flags & RWF_APPEND))
        offset = st.st_size;
    else if (at < 0)
        offset = lseek(fd, 0, SEEK_CUR);
    if (control->write_errno)
        return refuse(control->write_errno);
    left = room(inode, offset, total);
    if (total && !left)
        return refuse(ENOSPC);
    for (; used < count && left; used++) {
        cut[used] = pieces[used];
        if (cut[used].iov_len > left)
            cut[used].iov_len = left;
        left -= cut[used].iov_len;
    }
    long n = at < 0 ? disk_raw(SYS_writev, fd, (long)cut, used, 0, 0, 0)
                    : disk_raw(SYS_pwritev, fd, (long)cut, used, at, 0, 0);
    if (n <= 0)
        return n;
    grown(inode, offset + n);
    if (journal >= 0) {
        struct record record = {MAGIC, WRITE, st.st_ino, offset, 0, n, 0};
        put(&record, sizeof record);
        for (size_t i = 0, rest = n; rest; i++) {
            size_t len = cut[i].iov_len < rest ? cut[i].iov_len : rest;
            put(cut[i].iov_base, len);
            rest -= len;
        }
        if ((status & O_DSYNC) || (flags & (RWF_DSYNC | RWF_SYNC)))
            note_sync(st.st_ino);
    }
    return n;
}

static long on_write(long nr, long a, long b, long c, long d, long e, long f)
{
    struct stat st;
    struct iovec one = {(void *)b, c};
    int vector = nr != SYS_write && nr != SYS_pwrite64;
    if (!is_under(a, &st) || !S_ISREG(st.st_mode))
        return disk_raw(nr, a, b, c, d, e, f);
    int64_t at = nr == SYS_write || nr == SYS_writev ? -1 : d;
    pthread_mutex_lock(&lock);
    long n = write_under(a, vector ? (struct iovec *)b : &one, vector ? c : 1, at,
                         nr == SYS_pwritev2 ? f : 0);
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_open(long nr, int dir, const char *path, long flags, long mode)
{
    char full[PATH_MAX], *name;
    struct stat st;
    if (!(flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE)
        return disk_raw(SYS_openat, dir, (long)path, flags, mode, 0, 0);
    if (!path_under(dir, path, full)) {
        long fd = disk_raw(SYS_openat, dir, (long)path, flags, mode, 0, 0);
        pthread_mutex_lock(&lock);
        if (fd >= 0 && !fstat(fd, &st) && st.st_dev == root_dev)
            forget(st.st_ino); /* its number was used under the root before */
        pthread_mutex_unlock(&lock);
        return fd;
    }
    (void)nr;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    pthread_mutex_lock(&lock);
    int existed = !stat(full, &st);
    long fd;
    if (!existed && control->write_errno)
        fd = refuse(control->write_errno);
    else if (!existed && control->capacity && control->used >= control->capacity)
        fd = refuse(ENOSPC);
    else
        fd = disk_raw(SYS_openat, dir, (long)path, flags, mode, 0, 0);
    if (fd >= 0 && !existed && !fstat(fd, &st)) {
        uint64_t folder = parent(full, &name);
        add(st.st_ino, 0);
        note(CREATE, folder, st.st_ino, 0, name, strlen(name));
    } else if (fd >= 0 && (flags & O_TRUNC)) {
        struct inode *inode = find(st.st_ino);
        if (!inode)
            die("a file that was not there");
        control->used -= inode->allocated;
        inode->allocated = 0;
        note(SIZE, st.st_ino, 0, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static long on_size(int fd, uint64_t size)
{
    struct stat st;
    if (!is_under(fd, &st))
        return disk_raw(SYS_ftruncate, fd, size, 0, 0, 0, 0);
    pthread_mutex_lock(&lock);
    long n = control->write_errno ? refuse(control->write_errno)
                                  : disk_raw(SYS_ftruncate, fd, size, 0, 0, 0, 0);
    struct inode *inode = find(st.st_ino);
    if (!n && inode) {
        if (inode->allocated > size) {
            control->used -= inode->allocated - size;
            inode->allocated = size;
        }
        note(SIZE, st.st_ino, size, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_allocate(int fd, long mode, uint64_t offset, uint64_t len)
{
    struct stat st;
    if (!is_under(fd, &st))
        return disk_raw(SYS_fallocate, fd, mode, offset, len, 0, 0);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        die("fallocate with a mode");
    pthread_mutex_lock(&lock);
    struct inode *inode = find(st.st_ino);
    long n = control->write_errno ? refuse(control->write_errno)
             : room(inode, offset, len) < len ? refuse(ENOSPC)
             : disk_raw(SYS_fallocate, fd, mode, offset, len, 0, 0);
    if (!n) {
        grown(inode, offset + len);
        if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + len > (uint64_t)st.st_size)
            note(SIZE, st.st_ino, offset + len, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_sync(long nr, int fd)
{
    struct stat st;
    uint64_t number = 0;
    if (nr != SYS_sync && nr != SYS_syncfs) {
        if (!is_under(fd, &st))
            return disk_raw(nr, fd, 0, 0, 0, 0, 0);
        number = st.st_ino;
    }
    pthread_mutex_lock(&lock);
    uint64_t token = ++sync_count;
    note(SYNC_BEGIN, number, token, 0, NULL, 0);
    random_state ^= random_state << 13, random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    uint64_t delay_us = control->sync_delay_us ? random_state % control->sync_delay_us : 0;
    pthread_mutex_unlock(&lock);
    if (delay_us) {
        struct timespec delay = {delay_us / 1000000, delay_us % 1000000 * 1000};
        nanosleep(&delay, NULL);
    }
    long n = 0;
    if (journal < 0)
        n = disk_raw(nr, fd, 0, 0, 0, 0, 0);
    pthread_mutex_lock(&lock);
    if (control->sync_errno)
        n = refuse(control->sync_errno);
    else
        control->syncs++;
    note(SYNC_END, number, token, -n, NULL, 0);
    pthread_mutex_unlock(&lock);
    return n;
}

static void gone(const struct stat *st, int existed)
{
    if (existed && (S_ISDIR(st->st_mode) || st->st_nlink <= 1))
        forget(st->st_ino);
}

static long on_rename(int old_dir, const char *old, int new_dir, const char *new, long flags)
{
    char from[PATH_MAX], to[PATH_MAX], names[2 * NAME_MAX + 2], *name, *new_name;
    struct stat st;
    int under = path_under(old_dir, old, from) + path_under(new_dir, new, to);
    if (!under)
        return disk_raw(SYS_renameat2, old_dir, (long)old, new_dir, (long)new, flags, 0);
    if (under == 1 || (flags & ~RENAME_NOREPLACE))
        die("a rename in or out, or an exchange");
    pthread_mutex_lock(&lock);
    int existed = !lstat(to, &st);
    long n = control->write_errno
                 ? refuse(control->write_errno)
                 : disk_raw(SYS_renameat2, old_dir, (long)old, new_dir, (long)new, flags, 0);
    if (!n) {
        uint64_t a = parent(from, &name), b = parent(to, &new_name);
        gone(&st, existed);
        if (!stat(to, &st) && S_ISSOCK(st.st_mode))
            die("a socket that is renamed");
        int len = snprintf(names, sizeof names, "%s/%s", name, new_name);
        note(RENAME, a, b, 0, names, len);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_unlink(int dir, const char *path, long flags)
{
    char full[PATH_MAX], *name;
    struct stat st;
    if (!path_under(dir, path, full))
        return disk_raw(SYS_unlinkat, dir, (long)path, flags, 0, 0, 0);
    pthread_mutex_lock(&lock);
    int existed = !lstat(full, &st);
    long n = disk_raw(SYS_unlinkat, dir, (long)path, flags, 0, 0, 0);
    if (!n) {
        uint64_t folder = parent(full, &name);
        gone(&st, existed);
        if (!S_ISSOCK(st.st_mode)) /* sockets mean nothing to the next process */
            note(UNLINK, folder, 0, 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_mkdir(int dir, const char *path, long mode)
{
    char full[PATH_MAX], *name;
    struct stat st;
    if (!path_under(dir, path, full))
        return disk_raw(SYS_mkdirat, dir, (long)path, mode, 0, 0, 0);
    pthread_mutex_lock(&lock);
    long n = stat(full, &st) && control->write_errno
                 ? refuse(control->write_errno)
                 : disk_raw(SYS_mkdirat, dir, (long)path, mode, 0, 0, 0);
    if (!n && !stat(full, &st)) {
        uint64_t folder = parent(full, &name);
        add(st.st_ino, 0);
        note(CREATE, folder, st.st_ino, 1, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return n;
}

static long on_link(int old_dir, const char *old, int new_dir, const char *new, long flags)
{
    char from[PATH_MAX], to[PATH_MAX], *name;
    struct stat st;
    int under = path_under(old_dir, old, from) + path_under(new_dir, new, to);
    if (!under)
        return disk_raw(SYS_linkat, old_dir, (long)old, new_dir, (long)new, flags, 0);
    if (under == 1)
        die("a link in or out");
    pthread_mutex_lock(&lock);
    long n = disk_raw(SYS_linkat, old_dir, (long)old, new_dir, (long)new, flags, 0);
    if (!n && !stat(to, &st)) {
        uint64_t folder = parent(to, &name);
        note(LINK, folder, st.st_ino, 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return n;
}

/* Copies between files by the kernel: programs fall back to reading and writing. */
static long on_copy(long nr, long target, long a[6])
{
    struct stat st;
    if (is_under(target, &st))
        return nr == SYS_copy_file_range ? -ENOSYS : -EINVAL;
    return disk_raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long on_statfs(long nr, long which, struct statfs *out)
{
    char full[PATH_MAX];
    struct stat st;
    int under = nr == SYS_statfs ? path_under(AT_FDCWD, (char *)which, full) : is_under(which, &st);
    long n = disk_raw(nr, which, (long)out, 0, 0, 0, 0);
    if (!n && under && control->capacity && control->tells) {
        uint64_t used = control->used, size = control->capacity;
        out->f_blocks = size / out->f_frsize;
        out->f_bfree = out->f_bavail = (size > used ? size - used : 0) / out->f_frsize;
    }
    return n;
}

static long call(long nr, long a[6])
{
    struct stat st;
    char full[PATH_MAX];
    switch (nr) {
#ifdef SYS_open
    case SYS_open: return on_open(nr, AT_FDCWD, (char *)a[0], a[1], a[2]);
    case SYS_creat: return on_open(nr, AT_FDCWD, (char *)a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]);
    case SYS_rename: return on_rename(AT_FDCWD, (char *)a[0], AT_FDCWD, (char *)a[1], 0);
    case SYS_unlink: return on_unlink(AT_FDCWD, (char *)a[0], 0);
    case SYS_rmdir: return on_unlink(AT_FDCWD, (char *)a[0], AT_REMOVEDIR);
    case SYS_mkdir: return on_mkdir(AT_FDCWD, (char *)a[0], a[1]);
    case SYS_link: return on_link(AT_FDCWD, (char *)a[0], AT_FDCWD, (char *)a[1], 0);
    case SYS_symlink: if (path_under(AT_FDCWD, (char *)a[1], full)) die("a symbolic link"); break;
#endif
#ifdef SYS_renameat
    case SYS_renameat: return on_rename(a[0], (char *)a[1], a[2], (char *)a[3], 0);
#endif
    case SYS_openat: return on_open(nr, a[0], (char *)a[1], a[2], a[3]);
    case SYS_openat2: return -ENOSYS;
    case SYS_renameat2: return on_rename(a[0], (char *)a[1], a[2], (char *)a[3], a[4]);
    case SYS_unlinkat: return on_unlink(a[0], (char *)a[1], a[2]);
    case SYS_mkdirat: return on_mkdir(a[0], (char *)a[1], a[2]);
    case SYS_linkat: return on_link(a[0], (char *)a[1], a[2], (char *)a[3], a[4]);
    case SYS_symlinkat: if (path_under(a[1], (char *)a[2], full)) die("a symbolic link"); break;
    case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_pwritev: case SYS_pwritev2:
        return on_write(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    case SYS_ftruncate: return on_size(a[0], a[1]);
    case SYS_truncate: if (path_under(AT_FDCWD, (char *)a[0], full)) die("truncate"); break;
    case SYS_fallocate: return on_allocate(a[0], a[1], a[2], a[3]);
    case SYS_fsync: case SYS_fdatasync: case SYS_sync: case SYS_syncfs: return on_sync(nr, a[0]);
    case SYS_copy_file_range: return on_copy(nr, a[2], a);
    case SYS_sendfile: return on_copy(nr, a[0], a);
    case SYS_splice: return on_copy(nr, a[2], a);
    case SYS_statfs: case SYS_fstatfs: return on_statfs(nr, a[0], (struct statfs *)a[1]);
    case SYS_io_uring_setup: return -ENOSYS;
    case SYS_mmap: if (is_under(a[4], &st)) die("a shared writable map"); break;
    }
    return disk_raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    int saved = errno;
    long a[6];
    (void)signal;
    for (int i = 0; i < 6; i++)
        a[i] = ARG(uc, i);
    RESULT(uc) = call(info->si_syscall, a);
    errno = saved;
}

static const int TRAPPED[] = {
#ifdef SYS_open
    SYS_open, SYS_creat, SYS_rename, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_link, SYS_symlink,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_openat, SYS_openat2, SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_linkat, SYS_symlinkat,
    SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_truncate,
    SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_copy_file_range,
    SYS_sendfile, SYS_splice, SYS_io_uring_setup, SYS_statfs, SYS_fstatfs,
};

static void filter(void)
{
    enum { COUNT = sizeof TRAPPED / sizeof *TRAPPED };
    static struct sock_filter code[COUNT + 16];
    int n = 0;
    uint64_t own = (uint64_t)disk_raw_after;
#define DATA(field) offsetof(struct seccomp_data, field)
#define PUT(...) code[n++] = (struct sock_filter)__VA_ARGS__
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(instruction_pointer)));
    PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)own, 0, 3));
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(instruction_pointer) + 4));
    PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(own >> 32), 0, 1));
    PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr)));
    for (int i = 0; i < COUNT; i++)
        PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRAPPED[i], COUNT - i - 1 + 6, 0));
    PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 4));
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[2])));
    PUT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 2));
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[3])));
    PUT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 1, 0));
    PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        die("no seccomp filter here");
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("DISK_ROOT"), *control_path = getenv("DISK_CONTROL");
    const char *journal_path = getenv("DISK_JOURNAL");
    struct stat st;
    if (!path || !control_path)
        return;
    if (path[0] != '/' || strlen(path) >= sizeof root || stat(path, &st))
        die("DISK_ROOT is not a folder");
    strcpy(root, path);
    root_len = strlen(root);
    root_dev = st.st_dev;
    int fd = open(control_path, O_RDWR | O_CLOEXEC);
    control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || control == MAP_FAILED)
        die("DISK_CONTROL cannot be mapped");
    close(fd);
    if (journal_path) {
        fd = open(journal_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        journal = fcntl(fd, F_DUPFD_CLOEXEC, 500);
        if (fd < 0 || journal < 0)
            die("DISK_JOURNAL cannot be opened");
        close(fd);
    }
    control->used = 0;
    random_state ^= (uint64_t)getpid() << 32;
    walk(root);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGSYS, &action, NULL);
    unsetenv("LD_PRELOAD");
    filter();
    control->ready = 1;
}
