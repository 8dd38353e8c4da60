// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * The same as tierswap_shim.c, as a BPF program, where no module may be loaded.
 *
 * Entry 0 of the array is struct tierswap_rings, entry 1 + N the ring of CPU N:
 * what is mapped is laid out as tierswap_ioctl.h says. Of the kernel's
 * structures only the fields that are looked at are declared; where they lie is
 * found out when the program is loaded.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "tierswap_ioctl.h"

#define TIERSWAP_RECORDS 1024
#define TIERSWAP_PAGE 4096
#define TIERSWAP_ROOT_CGROUP 1
#define REQ_OP_MASK 0xff
#define REQ_OP_WRITE 1
#define SECTOR_SHIFT 9

#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;	/* 0: that of cgroup2 */
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct blkcg {
	struct cgroup_subsys_state css;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct bio {
	struct blkcg_gq *bi_blkg;
};

struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	struct bio *bio;
	unsigned int cmd_flags;
	unsigned int __data_len;
	__u64 __sector;
};

#pragma clang attribute pop

struct tierswap_entry {
	struct tierswap_ring ring;
	struct tierswap_record records[TIERSWAP_RECORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);	/* as many as CPUs, and one, when it is loaded */
	__type(key, __u32);
	__type(value, struct tierswap_entry);
} tierswap_entries SEC(".maps");

/* What is watched, written by the server; major 0: none. */
struct tierswap_watch tierswap_disks[TIERSWAP_WATCH_MAX];

static __always_inline int tierswap_watches(const struct gendisk *disk)
{
	volatile struct tierswap_watch *watch = tierswap_disks;
	__u32 major = disk->major, minor = disk->first_minor;
	int i;

#pragma clang loop unroll(full)
	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		if (watch[i].major && watch[i].major == major &&
		    watch[i].minor == minor)
			return 1;
	return 0;
}

static __always_inline __u64 tierswap_cgroup_of(const struct bio *bio)
{
	struct blkcg_gq *blkg;
	struct cgroup *cgroup;

	if (!bio)
		return TIERSWAP_ROOT_CGROUP;
	blkg = bio->bi_blkg;
	if (!blkg)
		return TIERSWAP_ROOT_CGROUP;
	cgroup = blkg->blkcg->css.cgroup;
	if (!cgroup || cgroup->root->hierarchy_id)
		return TIERSWAP_ROOT_CGROUP;
	return cgroup->kn->id;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(tierswap_block_rq_issue, struct request *rq)
{
	__u64 start, end, head, used, sequence;
	struct tierswap_record *record;
	struct tierswap_entry *entry;
	struct tierswap_rings *rings;
	struct gendisk *disk;
	__u32 key = 0;

	if ((rq->cmd_flags & REQ_OP_MASK) != REQ_OP_WRITE || !rq->__data_len)
		return 0;
	disk = rq->q->disk;
	if (!disk || !tierswap_watches(disk))
		return 0;
	rings = bpf_map_lookup_elem(&tierswap_entries, &key);
	key = 1 + bpf_get_smp_processor_id();
	entry = bpf_map_lookup_elem(&tierswap_entries, &key);
	if (!rings || !entry)
		return 0;

	/* The atomic ones that return a value are full barriers. */
	sequence = __sync_fetch_and_add(&rings->sequence, 1) + 1;
	head = entry->ring.head;
	used = head - *(volatile __u64 *)&entry->ring.tail;
	if (used >= TIERSWAP_RECORDS) {
		__sync_lock_test_and_set(&entry->ring.dropped,
					 entry->ring.dropped + 1);
		return 0;
	}

	start = rq->__sector << SECTOR_SHIFT;
	end = start + rq->__data_len + TIERSWAP_PAGE - 1;
	start &= ~(__u64)(TIERSWAP_PAGE - 1);
	end &= ~(__u64)(TIERSWAP_PAGE - 1);
	record = &entry->records[head & (TIERSWAP_RECORDS - 1)];
	record->sequence = sequence;
	record->tag.offset = start;
	record->tag.cgroup = tierswap_cgroup_of(rq->bio);
	record->tag.length = end - start;
	record->tag.reserved = 0;
	__sync_lock_test_and_set(&entry->ring.head, head + 1);
	if (used + 1 > entry->ring.high_water)
		entry->ring.high_water = used + 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
