"""Workers that share the loops of one long kernel call.

One worker leads: it runs the kernel's serial code, and hands out the chunks of a
loop with `share`. The others `help`: they take chunks while there are any. The
leader takes chunks too and never waits for a helper that has not come, so a helper
that the system does not run costs nothing. Which worker runs a chunk must not
matter to the result.

Each worker has a range of the chunks, takes those first, and then what others have
left. Loops over the same data divide it alike, so that most of what a worker reads
is in its own cache: processors need not share one, and then what another has written
comes five times as slowly.
"""

from libc.stdint cimport int64_t


cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
    #include <intrin.h>
    #include <windows.h>
    #define fasttree_load(p) ((int64_t)_InterlockedOr64((volatile __int64*)(p), 0))
    #define fasttree_store(p, v) _InterlockedExchange64((volatile __int64*)(p), (v))
    #define fasttree_add(p, v) \
        (_InterlockedExchangeAdd64((volatile __int64*)(p), (v)))
    #define fasttree_swap(p, old, v) \
        (_InterlockedCompareExchange64((volatile __int64*)(p), (v), (old)) == (old))
    #define fasttree_yield() SwitchToThread()
    #else
    #include <sched.h>
    #define fasttree_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define fasttree_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define fasttree_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
    static inline int fasttree_swap(int64_t* p, int64_t old, int64_t v) {
        return __atomic_compare_exchange_n(
            p, &old, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    #define fasttree_yield() sched_yield()
    #endif
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    #define fasttree_pause() __builtin_ia32_pause()
    #else
    #define fasttree_pause()
    #endif

    typedef void (*fasttree_chunk)(void* context, int64_t chunk, int worker);

    /* The chunks that nobody has taken of a worker's range: the next one in the high
       half and their end in the low one. Each in cache lines of its own. */
    typedef struct {
        int64_t left;
        int64_t unused[15];
    } fasttree_range;

    typedef struct {
        int64_t n_workers;
        fasttree_range* ranges;
        int64_t unused[14];
        /* What helpers look at while they wait. */
        int64_t loop;
        int64_t ended;
        fasttree_chunk run;
        void* context;
        int64_t unused_too[12];
        int64_t n_done;
        int64_t unused_as_well[15];
    } fasttree_team;

    enum { FASTTREE_SPINS = 2000 };

    /* Take chunks of the open loop until there are none, and return how many. */
    static inline int64_t fasttree_take(fasttree_team* team, int worker) {
        const int64_t n = team->n_workers, one = (int64_t)1 << 32;
        int64_t done = 0, i, left;
        for (i = 0; i < n; i++) {
            int64_t at = worker + i < n ? worker + i : worker + i - n;
            fasttree_range* range = team->ranges + at;
            for (;;) {
                left = fasttree_load(&range->left);
                if (left >> 32 >= (left & (one - 1))) break;
                if (!fasttree_swap(&range->left, left, left + one)) continue;
                /* The loop is open until this chunk is done, so both are its own. */
                team->run(team->context, left >> 32, worker);
                done++;
            }
        }
        return done;
    }

    static inline void fasttree_share(
        fasttree_team* team, int64_t n_chunks, fasttree_chunk run, void* context
    ) {
        const int64_t n = team->n_workers;
        int64_t i, own;
        int spins = 0;
        if (n <= 1 || n_chunks <= 1) {
            for (i = 0; i < n_chunks; i++) run(context, i, 0);
            return;
        }
        team->run = run;
        team->context = context;
        fasttree_store(&team->n_done, 0);
        for (i = 0; i < n; i++)
            fasttree_store(&team->ranges[i].left,
                           (n_chunks * i / n) << 32 | n_chunks * (i + 1) / n);
        fasttree_store(&team->loop, team->loop + 1);
        own = fasttree_take(team, 0);
        while (fasttree_load(&team->n_done) + own < n_chunks) {
            if (++spins < FASTTREE_SPINS) fasttree_pause();
            else fasttree_yield();
        }
    }

    static inline void fasttree_help(fasttree_team* team, int worker) {
        int64_t seen = 0, loop, done;
        int spins = 0;
        if (worker >= team->n_workers) return;
        while (!fasttree_load(&team->ended)) {
            loop = fasttree_load(&team->loop);
            if (loop != seen) {
                seen = loop;
                done = fasttree_take(team, worker);
                if (done) fasttree_add(&team->n_done, done);
                spins = 0;
            } else if (++spins < FASTTREE_SPINS) fasttree_pause();
            else fasttree_yield();
        }
    }

    static inline void fasttree_open(fasttree_team* team, int n_workers) {
        team->n_workers = n_workers;
        fasttree_store(&team->ended, 0);
    }

    static inline void fasttree_close(fasttree_team* team) {
        fasttree_store(&team->ended, 1);
    }
    """
    ctypedef void (*chunk_t "fasttree_chunk")(
        void* context, int64_t chunk, int worker) noexcept nogil
    ctypedef struct Range "fasttree_range":
        pass
    ctypedef struct Team "fasttree_team":
        int64_t n_workers
        Range* ranges              # (n_workers,) at first zero

    # Call `run(context, chunk, worker)` for each chunk; the leader is worker 0.
    void share "fasttree_share"(
        Team* team, int64_t n_chunks, chunk_t run, void* context) noexcept nogil
    # Take chunks until the leader calls `close`; `worker` is from 1 upwards.
    void help "fasttree_help"(Team* team, int worker) noexcept nogil
    void open_team "fasttree_open"(Team* team, int n_workers) noexcept nogil
    void close_team "fasttree_close"(Team* team) noexcept nogil
