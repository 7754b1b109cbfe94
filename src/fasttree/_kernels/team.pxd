"""Workers that share the loops of one long kernel call.

One worker leads: it runs the kernel's serial code, and hands out the chunks of a
loop with `share`. The others `help`: they take chunks while there are any. The
leader takes chunks too and never waits for a helper that has not come, so a helper
that the system does not run costs nothing. Which worker runs a chunk must not
matter to the result.
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

    /* The ticket has the number of the loop in its high half and its next chunk in
       the low one, so a helper that read the fields of another loop cannot take a
       chunk of this one. */
    typedef struct {
        int64_t ticket;
        int64_t n_done;
        int64_t ended;
        int64_t n_workers;
        fasttree_chunk run;
        void* context;
        int64_t n_chunks;
    } fasttree_team;

    enum { FASTTREE_SPINS = 2000 };
    #define FASTTREE_CLOSED ((int64_t)0x7fffffff)

    static inline int fasttree_take(fasttree_team* team, int worker) {
        int64_t ticket = fasttree_load(&team->ticket);
        int64_t chunk = ticket & FASTTREE_CLOSED;
        fasttree_chunk run;
        void* context;
        if (chunk == FASTTREE_CLOSED) return 0;
        run = team->run;
        context = team->context;
        if (chunk >= fasttree_load(&team->n_chunks)) return 0;
        if (!fasttree_swap(&team->ticket, ticket, ticket + 1)) return 1;
        run(context, chunk, worker);
        fasttree_add(&team->n_done, 1);
        return 1;
    }

    static inline void fasttree_share(
        fasttree_team* team, int64_t n_chunks, fasttree_chunk run, void* context
    ) {
        int64_t i, loop;
        int spins = 0;
        if (team->n_workers <= 1 || n_chunks <= 1) {
            for (i = 0; i < n_chunks; i++) run(context, i, 0);
            return;
        }
        loop = ((team->ticket >> 32) + 1) << 32;
        fasttree_store(&team->ticket, loop | FASTTREE_CLOSED);
        team->run = run;
        team->context = context;
        fasttree_store(&team->n_chunks, n_chunks);
        fasttree_store(&team->n_done, 0);
        fasttree_store(&team->ticket, loop + ((int64_t)1 << 32));
        while (fasttree_take(team, 0)) {}
        while (fasttree_load(&team->n_done) < n_chunks) {
            if (++spins < FASTTREE_SPINS) fasttree_pause();
            else fasttree_yield();
        }
    }

    static inline void fasttree_help(fasttree_team* team, int worker) {
        int spins = 0;
        while (!fasttree_load(&team->ended)) {
            if (fasttree_take(team, worker)) spins = 0;
            else if (++spins < FASTTREE_SPINS) fasttree_pause();
            else fasttree_yield();
        }
    }

    static inline void fasttree_open(fasttree_team* team, int n_workers) {
        team->ticket = FASTTREE_CLOSED;
        team->n_done = 0;
        team->n_workers = n_workers;
        fasttree_store(&team->ended, 0);
    }

    static inline void fasttree_close(fasttree_team* team) {
        fasttree_store(&team->ended, 1);
    }
    """
    ctypedef void (*chunk_t "fasttree_chunk")(
        void* context, int64_t chunk, int worker) noexcept nogil
    ctypedef struct Team "fasttree_team":
        int64_t n_workers

    # Call `run(context, chunk, worker)` for each chunk; the leader is worker 0.
    void share "fasttree_share"(
        Team* team, int64_t n_chunks, chunk_t run, void* context) noexcept nogil
    # Take chunks until the leader calls `close`; `worker` is from 1 upwards.
    void help "fasttree_help"(Team* team, int worker) noexcept nogil
    void open_team "fasttree_open"(Team* team, int n_workers) noexcept nogil
    void close_team "fasttree_close"(Team* team) noexcept nogil
