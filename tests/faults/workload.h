/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and commands to a device, which are sent again until they work; and
 * the pages that must be on it then.
 */
#ifndef TIERSWAP_TEST_WORKLOAD_H
#define TIERSWAP_TEST_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

#define PAGES 320
#define REQUEST 16 /* pages */

struct tierswap;

enum request { READ, WRITE, TRIM, ZERO, PATCH };

/* How a request of COUNT pages from FIRST on is sent; -1 with errno. */
typedef int (*send_request) (enum request kind, unsigned first, unsigned count,
                             void *buffer);

/* Make what the processes of a run share, once, and forget all pages. */
extern void workload_set_up (void);
extern void workload_reset (void);

/* The device that requests are sent to, or how else they are. */
extern void workload_use (struct tierswap *device);
extern void workload_send_by (send_request send);

/* Send it, again if it fails: it must work in the end. */
extern void insist (enum request kind, unsigned first, unsigned count,
                    void *buffer);
extern void write_pages (unsigned first, unsigned count);
extern void check_pages (void);
extern void forget_pages (unsigned first, unsigned count);

/* Requests of each kind; every page is right in the end. */
extern void use_pages (void);

/* A command of up to four words; it must work in the end, or, if IS_REFUSED, be
 * refused.
 */
extern void command (bool is_refused, const char *a, const char *b,
                     const char *c, const char *d);

/* The same by a LINE of the protocol, which may be a wrong one. */
extern void command_line (bool is_refused, const char *line);

/* The control socket and the configuration of the device. */
extern char conf[128], control[128], server_socket[128];

/* What a configuration has. */
#define CONF_REMOTE 1U    /* an NBD server for a backing, in place of files */
#define CONF_OTHER 2U     /* another limit and another backing */
#define CONF_MISTAKE 4U   /* a mistake */
#define CONF_STATE 8U     /* a state that outlives the process */
#define CONF_ONE_FILE 16U /* of backings: only one, and it is encrypted */
#define CONF_MOVED 32U    /* the first backing is elsewhere */
#define CONF_BLOCK 64U    /* a block device for a backing, in place of files */
#define CONF_BPF 128U     /* tags by BPF, and a limit of writing */
#define CONF_SMALL 256U   /* the least of memory, and much on the disk */
#define CONF_ALONE 512U   /* no backing at all */
#define BLOCK_DEVICE "/dev/ram0"
extern void write_conf (const char *name, unsigned what);

/* Put another one in the place of the one that is there. */
extern void swap_conf (const char *name);

/* Make a device of the configuration, start it, let RUN use it, and free it. */
extern void with_device (void (*prepare) (struct tierswap *device),
                         void (*run) (void));

#endif /* TIERSWAP_TEST_WORKLOAD_H */
