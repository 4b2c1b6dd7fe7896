/* An SMSC that takes every submit_sm, answers each after the same time, and never limits: over a million a second.
 *
 *     sink LATENCY_US        prints "PORT n"; listens on 127.0.0.1 until it is killed
 *
 * As the latency is one and the same, answers leave in the order in which they were made: a queue of (due, end of
 * its octets) is all the timers there are. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINKS = 16, IN = 1 << 20, OUT = 1 << 22, MARKS = 1 << 16, HEADER = 16 };
enum { SUBMIT_SM = 4, UNBIND = 6, ENQUIRE_LINK = 0x15, RECEIVER = 1, TRANSMITTER = 2, TRANSCEIVER = 9 };

struct mark { int64_t due; size_t end; };

/* out[sent .. ready) may be written, out[ready .. made) waits for its time */
struct link {
    size_t have, sent, ready, made;
    unsigned first, last; /* of the marks that wait, modulo MARKS */
    struct mark marks[MARKS];
    uint8_t in[IN], out[OUT];
};

static struct pollfd fds[1 + LINKS];
static struct link *links[1 + LINKS];
static int count = 1;
static int64_t latency;
static uint32_t ids;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t get(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return ntohl(v);
}

static void put(uint8_t *at, uint32_t v)
{
    v = htonl(v);
    memcpy(at, &v, 4);
}

static void answer(struct link *l, uint32_t command, uint32_t sequence)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = l->out + l->made;
    size_t length = HEADER;
    if (command == SUBMIT_SM) {
        uint32_t id = ++ids;
        for (int shift = 28; shift >= 0; shift -= 4)
            at[length++] = digits[id >> shift & 15];
        at[length++] = 0;
    } else if (command == RECEIVER || command == TRANSMITTER || command == TRANSCEIVER) {
        memcpy(at + length, "sink", 5);
        length += 5;
    } else if (command != UNBIND && command != ENQUIRE_LINK) {
        return;
    }
    put(at, length);
    put(at + 4, command | 0x80000000u);
    put(at + 8, 0);
    put(at + 12, sequence);
    l->made += length;
}

/* Returns 0 where the stream is no SMPP. */
static int take(struct link *l)
{
    size_t at = 0;
    if (OUT - l->made < 2 * IN) { /* no answer is longer than what it answers, but for five octets of a bind */
        memmove(l->out, l->out + l->sent, l->made - l->sent);
        for (unsigned i = l->first; i != l->last; i++)
            l->marks[i % MARKS].end -= l->sent;
        l->ready -= l->sent;
        l->made -= l->sent;
        l->sent = 0;
    }
    while (l->have - at >= HEADER) {
        uint32_t length = get(l->in + at);
        if (length < HEADER || length > IN / 2)
            return 0;
        if (l->have - at < length)
            break;
        answer(l, get(l->in + at + 4), get(l->in + at + 12));
        at += length;
    }
    memmove(l->in, l->in + at, l->have - at);
    l->have -= at;
    if (l->last - l->first == MARKS)
        l->last--; /* as good as never: one answer is a little later than it should */
    l->marks[l->last++ % MARKS] = (struct mark){now_ns() + latency, l->made};
    return 1;
}

/* Returns 0 where the other side has gone. */
static int serve(int i)
{
    struct link *l = links[i];
    int room = OUT - (l->made - l->sent) >= 2 * IN; /* else who does not read is not read */
    if (room && fds[i].revents & (POLLIN | POLLHUP | POLLERR)) {
        ssize_t got = recv(fds[i].fd, l->in + l->have, IN - l->have, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return 0;
        if (got > 0) {
            l->have += got;
            if (!take(l))
                return 0;
        }
    }
    for (int64_t now = now_ns(); l->first != l->last && l->marks[l->first % MARKS].due <= now;)
        l->ready = l->marks[l->first++ % MARKS].end;
    if (l->ready > l->sent) {
        ssize_t put = send(fds[i].fd, l->out + l->sent, l->ready - l->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN)
            return 0;
        if (put > 0)
            l->sent += put;
    }
    fds[i].events = (room ? POLLIN : 0) | (l->ready > l->sent ? POLLOUT : 0);
    return 1;
}

static void greet(void)
{
    int fd = accept(fds[0].fd, NULL, NULL), on = 1;
    if (fd < 0)
        return;
    if (count > LINKS) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    links[count] = calloc(1, sizeof(struct link));
    fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    latency = argc > 1 ? atoll(argv[1]) * 1000 : 0;
    prctl(PR_SET_TIMERSLACK, 1UL); /* the usual 50 us would be added to every latency */
    prctl(PR_SET_PDEATHSIG, 15);
    fds[0] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
    if (bind(fds[0].fd, (void *)&address, size) || listen(fds[0].fd, 8)
        || getsockname(fds[0].fd, (void *)&address, &size)) {
        perror("sink");
        return 1;
    }
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int64_t due = INT64_MAX;
        for (int i = 1; i < count; i++)
            if (links[i]->first != links[i]->last && links[i]->marks[links[i]->first % MARKS].due < due)
                due = links[i]->marks[links[i]->first % MARKS].due;
        int64_t wait = due == INT64_MAX ? 0 : due - now_ns();
        struct timespec t = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
        ppoll(fds, count, due == INT64_MAX ? NULL : &t, NULL);
        if (fds[0].revents & POLLIN)
            greet();
        for (int i = 1; i < count; i++)
            if (!serve(i)) {
                close(fds[i].fd);
                free(links[i]);
                count--;
                links[i] = links[count];
                fds[i--] = fds[count];
            }
    }
}
