/* SPDX-License-Identifier: BSD-3-Clause */
/* A stack of small numbers without a lock (Treiber's, 1986).
 *
 * The links live in an array of the caller's, one a number, so nothing is
 * ever allocated.  The head carries a count of changes beside the number, so
 * that a number popped and pushed back meanwhile is not mistaken for one that
 * never left.
 */
#ifndef TIERSWAP_INDEX_STACK_H
#define TIERSWAP_INDEX_STACK_H

#include <stdatomic.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index_stack {
  _Atomic uint64_t head; /* changes << 32 | number + 1; 0: empty */
  _Atomic uint32_t count;
};

static inline void
index_stack_push (struct index_stack *stack, _Atomic uint32_t *links,
                  uint32_t number)
{
  uint64_t head = atomic_load (&stack->head), next;

  do {
    atomic_store_explicit (&links[number], (uint32_t) head,
                           memory_order_relaxed);
    next = (((head >> 32) + 1) << 32) | (uint64_t) (number + 1);
  } while (!atomic_compare_exchange_weak (&stack->head, &head, next));
  atomic_fetch_add_explicit (&stack->count, 1, memory_order_relaxed);
}

static inline uint32_t
index_stack_pop (struct index_stack *stack, _Atomic uint32_t *links)
{
  uint64_t head = atomic_load (&stack->head), next;
  uint32_t number;

  do {
    if ((uint32_t) head == 0)
      return INDEX_NONE;
    number = (uint32_t) head - 1;
    next = (((head >> 32) + 1) << 32)
           | atomic_load_explicit (&links[number], memory_order_relaxed);
  } while (!atomic_compare_exchange_weak (&stack->head, &head, next));
  atomic_fetch_sub_explicit (&stack->count, 1, memory_order_relaxed);
  return number;
}

static inline uint32_t
index_stack_count (const struct index_stack *stack)
{
  /* A pop may be counted before its push: never let that look huge. */
  int32_t count = atomic_load_explicit (&stack->count, memory_order_relaxed);
  return count < 0 ? 0 : count;
}

#endif /* TIERSWAP_INDEX_STACK_H */
