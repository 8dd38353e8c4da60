/* SPDX-License-Identifier: BSD-3-Clause */
/* A context of libcrypto serves one thread at a time, so there is a stack of
 * them, some made ahead; whoever needs one takes it and puts it back.  They
 * belong to the backing rather than to the queues so that closing the backing
 * cleanses all that was derived from its key.  Their memory is libcrypto's
 * heap: locked when the process is, but only the key itself is left out of
 * core dumps.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "backing/cipher.h"

#define KEY_BYTES 64
#define CONTEXTS_AHEAD 16

struct context {
  EVP_CIPHER_CTX *encrypt, *decrypt;
  struct context *next;
};

struct cipher {
  unsigned char *key; /* a page of its own */
  pthread_mutex_t lock;
  struct context *idle;
};

static void
context_free (struct context *context)
{
  if (context == NULL)
    return;
  EVP_CIPHER_CTX_free (context->encrypt);
  EVP_CIPHER_CTX_free (context->decrypt);
  free (context);
}

static struct context *
context_create (const unsigned char *key)
{
  struct context *context = calloc (1, sizeof *context);

  if (context == NULL)
    return NULL;
  context->encrypt = EVP_CIPHER_CTX_new ();
  context->decrypt = EVP_CIPHER_CTX_new ();
  if (context->encrypt == NULL || context->decrypt == NULL
      || EVP_EncryptInit_ex (context->encrypt, EVP_aes_256_xts (), NULL, key,
                             NULL)
             != 1
      || EVP_DecryptInit_ex (context->decrypt, EVP_aes_256_xts (), NULL, key,
                             NULL)
             != 1) {
    context_free (context);
    return NULL;
  }
  return context;
}

struct cipher *
cipher_create (void)
{
  struct cipher *cipher = calloc (1, sizeof *cipher);
  unsigned i;

  if (cipher == NULL)
    return NULL;
  pthread_mutex_init (&cipher->lock, NULL);
  cipher->key = mmap (NULL, CIPHER_UNIT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (cipher->key == MAP_FAILED) {
    cipher->key = NULL;
    goto error;
  }
  madvise (cipher->key, CIPHER_UNIT, MADV_DONTDUMP);
  /* A process that may not lock even one page works without. */
  mlock (cipher->key, CIPHER_UNIT);
  if (RAND_priv_bytes (cipher->key, KEY_BYTES) != 1) {
    cipher_destroy (cipher);
    errno = EIO;
    return NULL;
  }
  for (i = 0; i < CONTEXTS_AHEAD; ++i) {
    struct context *context = context_create (cipher->key);

    if (context == NULL)
      goto error;
    context->next = cipher->idle;
    cipher->idle = context;
  }
  return cipher;

error:
  cipher_destroy (cipher);
  errno = ENOMEM;
  return NULL;
}

void
cipher_destroy (struct cipher *cipher)
{
  struct context *context;

  if (cipher == NULL)
    return;
  while ((context = cipher->idle) != NULL) {
    cipher->idle = context->next;
    context_free (context);
  }
  if (cipher->key) {
    OPENSSL_cleanse (cipher->key, KEY_BYTES);
    munmap (cipher->key, CIPHER_UNIT);
  }
  pthread_mutex_destroy (&cipher->lock);
  free (cipher);
}

static struct context *
take_context (struct cipher *cipher)
{
  struct context *context;

  pthread_mutex_lock (&cipher->lock);
  context = cipher->idle;
  if (context)
    cipher->idle = context->next;
  pthread_mutex_unlock (&cipher->lock);
  return context ? context : context_create (cipher->key);
}

static void
put_context (struct cipher *cipher, struct context *context)
{
  pthread_mutex_lock (&cipher->lock);
  context->next = cipher->idle;
  cipher->idle = context;
  pthread_mutex_unlock (&cipher->lock);
}

/* The tweak is the number of the unit, 128 bits, little endian. */
static bool
crypt_unit (EVP_CIPHER_CTX *context, unsigned char *to,
            const unsigned char *from, uint64_t unit)
{
  unsigned char tweak[16] = { 0 };
  unsigned i;
  int length;

  for (i = 0; i < 8; ++i)
    tweak[i] = unit >> (8 * i);
  /* -1: encrypt or decrypt as the context was made for. */
  return EVP_CipherInit_ex (context, NULL, NULL, NULL, tweak, -1) == 1
         && EVP_CipherUpdate (context, to, &length, from, CIPHER_UNIT) == 1
         && length == CIPHER_UNIT;
}

static int
crypt_all (struct cipher *cipher, bool encrypt, void *to, const void *from,
           size_t length, uint64_t offset)
{
  struct context *context = take_context (cipher);
  bool ok = true;
  size_t i;

  if (context == NULL) {
    errno = ENOMEM;
    return -1;
  }
  for (i = 0; ok && i < length; i += CIPHER_UNIT)
    ok = crypt_unit (encrypt ? context->encrypt : context->decrypt,
                     (unsigned char *) to + i, (const unsigned char *) from + i,
                     (offset + i) / CIPHER_UNIT);
  put_context (cipher, context);
  if (!ok)
    errno = EIO;
  return ok ? 0 : -1;
}

int
cipher_encrypt (struct cipher *cipher, void *to, const void *from,
                size_t length, uint64_t offset)
{
  return crypt_all (cipher, true, to, from, length, offset);
}

int
cipher_decrypt (struct cipher *cipher, void *to, const void *from,
                size_t length, uint64_t offset)
{
  return crypt_all (cipher, false, to, from, length, offset);
}
