/* SPDX-License-Identifier: BSD-3-Clause */
/* Encryption of what a backing holds: AES-256-XTS in units of 4096 bytes, so
 * that every aligned piece can be read alone.
 *
 * The key is made when the backing is opened and lives in locked memory that
 * is left out of core dumps, unlike the schedules that libcrypto makes of it in
 * the heap; it is never written to a disk, so what was written is unreadable
 * for ever once the backing is closed.  Where the state of a device outlives
 * its server, the key is part of it, in memory as well. It protects from a
 * stolen disk and a curious server.  Tampering is noticed by the checksums of
 * the objects, one layer above, not here.
 */
#ifndef TIERSWAP_BACKING_CIPHER_H
#define TIERSWAP_BACKING_CIPHER_H

#include <stddef.h>
#include <stdint.h>

#define CIPHER_UNIT 4096 /* bytes under one tweak */

struct cipher;

#define CIPHER_KEY_BYTES 64

/* With KEY, or a new one if it is NULL.  NULL with errno. */
extern struct cipher *cipher_create (const unsigned char *key);

/* The key, CIPHER_KEY_BYTES. */
extern const unsigned char *cipher_key (const struct cipher *cipher);

/* Cleanses the key and every schedule made from it. */
extern void cipher_destroy (struct cipher *cipher);

/* LENGTH bytes, whole units, that are at OFFSET of the backing.  FROM and TO
 * may be the same.  Any thread may call these.  -1 with errno EIO, or ENOMEM
 * if more threads than ever before are here at once and memory is out.
 */
extern int cipher_encrypt (struct cipher *cipher, void *to, const void *from,
                           size_t length, uint64_t offset);
extern int cipher_decrypt (struct cipher *cipher, void *to, const void *from,
                           size_t length, uint64_t offset);

#endif /* TIERSWAP_BACKING_CIPHER_H */
