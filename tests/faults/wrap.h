/* SPDX-License-Identifier: BSD-3-Clause */
/* How a call is wrapped. */
#ifndef TIERSWAP_TEST_WRAP_H
#define TIERSWAP_TEST_WRAP_H

#include <errno.h>

#include "faults.h"

#define HERE __builtin_return_address (0)

/* FUNCTION fails by returning RESULT, with errno set to ERROR. */
#define WRAP(type, name, parameters, arguments, result, ...)                   \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    static const int errors[] = { __VA_ARGS__, 0 };                            \
    int error = faults_ask (#name, errors, HERE);                              \
                                                                               \
    if (error == 0)                                                            \
      return __real_##name arguments;                                          \
    errno = error;                                                             \
    return result;                                                             \
  }

/* The same for what returns memory, or a thing of a library, that another call
 * gives back (see WRAP_GIVE).
 */
#define WRAP_TAKE(type, name, parameters, arguments, result, ...)              \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    static const int errors[] = { __VA_ARGS__, 0 };                            \
    int error = faults_ask (#name, errors, HERE);                              \
                                                                               \
    if (error == 0)                                                            \
      return faults_take (__real_##name arguments, HERE);                      \
    errno = error;                                                             \
    return result;                                                             \
  }

/* NAME gives POINTER back, and does not fail. */
#define WRAP_GIVE(type, name, parameters, arguments, pointer)                  \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    faults_give (pointer);                                                     \
    return __real_##name arguments;                                            \
  }

/* Have the memory of libjansson counted, from now on. */
extern void wrap_json_memory (void);

#endif /* TIERSWAP_TEST_WRAP_H */
