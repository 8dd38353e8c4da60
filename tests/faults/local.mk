# Every call that can fail is made to fail, one after the other.
faults_wrapped = \
	EVP_CIPHER_CTX_free EVP_CIPHER_CTX_new EVP_CipherInit_ex \
	EVP_CipherUpdate EVP_DecryptInit_ex EVP_EncryptInit_ex \
	RAND_priv_bytes ZSTD_CCtx_setParameter ZSTD_compress2 ZSTD_createCCtx \
	ZSTD_createDCtx ZSTD_decompressDCtx ZSTD_freeCCtx ZSTD_freeDCtx \
	__getdelim accept4 access aligned_alloc asprintf bind bpf_map__fd \
	bpf_map__set_max_entries bpf_object__attach_skeleton \
	bpf_object__destroy_skeleton bpf_object__load_skeleton \
	bpf_object__open_skeleton calloc cfg_free cfg_init cfg_parse_buf \
	close closedir connect dup2 endmntent eventfd execvp fallocate fchdir \
	fchmod fclose fcntl fdopen fdopendir fexecve fgets flock fopen fork \
	free fstat fstatat fstatfs fsync ftruncate fuse_reply_attr \
	fuse_reply_buf fuse_reply_entry fuse_reply_err fuse_reply_ioctl \
	fuse_reply_lseek fuse_reply_open fuse_reply_statfs fuse_reply_write \
	fuse_session_destroy fuse_session_mount fuse_session_new genl_connect \
	genl_ctrl_resolve genlmsg_put getline getmntent getpeername getrandom \
	getsockname getsockopt glob globfree inotify_add_watch inotify_init1 \
	io_uring_queue_init io_uring_register_buffers \
	io_uring_register_iowq_max_workers io_uring_ring_dontfork \
	io_uring_submit io_uring_submit_and_wait_timeout ioctl json_array \
	json_array_append_new json_dumps json_integer json_loadb json_loads \
	json_object json_object_set_new json_pack json_string kill listen \
	lstat madvise malloc mincore mlock mlock2 mlockall mmap mremap \
	munlock munmap nbd_aio_connect_uri nbd_aio_disconnect nbd_aio_get_fd \
	nbd_aio_notify_read nbd_aio_notify_write nbd_aio_pread nbd_aio_pwrite \
	nbd_aio_trim nbd_can_multi_conn nbd_can_trim nbd_close nbd_create \
	nbd_get_block_size nbd_get_size nbd_is_read_only \
	nbd_set_pread_initialize nbd_set_uri_allow_local_file nl_send_sync \
	nl_socket_alloc nl_socket_free nla_nest_start nla_put_string \
	nla_put_u32 nla_put_u64 nlmsg_alloc nlmsg_free open open_memstream \
	openat opendir pipe2 poll posix_spawnp ppoll prctl pread \
	pthread_create pthread_key_create pthread_setschedparam \
	pthread_setspecific pwrite read readdir readlink readlinkat realloc \
	reallocarray recv sched_setscheduler send sendto setmntent setsid \
	setsockopt signalfd socket stat statfs strdup strndup swapoff swapon \
	syscall umount2 unlink vasprintf waitpid write writev

check_PROGRAMS += tests/faults/fault-matrix
tests_faults_fault_matrix_SOURCES = \
	tests/faults/call-sites.c \
	tests/faults/call-sites.h \
	tests/faults/fault-matrix.c \
	tests/faults/faults.c \
	tests/faults/faults.h \
	tests/faults/notes.c \
	tests/faults/notes.h \
	tests/faults/played-module.c \
	tests/faults/played-module.h \
	tests/faults/reasons.h \
	tests/faults/report.c \
	tests/faults/report.h \
	tests/faults/scenario-attach.c \
	tests/faults/scenario-changes.c \
	tests/faults/scenario-device.c \
	tests/faults/scenario-fuse.c \
	tests/faults/scenario-plugin.c \
	tests/faults/scenario-state.c \
	tests/faults/scenario-tags.c \
	tests/faults/scenario.h \
	tests/faults/sure.h \
	tests/faults/workload.c \
	tests/faults/workload.h \
	tests/faults/wrap-libraries.c \
	tests/faults/wrap-system.c \
	tests/faults/wrap.h \
	$(nbdkit_tierswap_plugin_la_SOURCES)
tests_faults_fault_matrix_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) \
	$(LIBNBD_CFLAGS) $(CONFUSE_CFLAGS) $(URING_CFLAGS) $(CRYPTO_CFLAGS) \
	$(ZSTD_CFLAGS) $(FUSE_CFLAGS) $(NETLINK_CFLAGS) $(NBDKIT_CFLAGS) \
	$(LIBBPF_CFLAGS) \
	-I$(srcdir)/tests/unit
tests_faults_fault_matrix_LDADD = tests/unit/libpages.la libtierswap.la \
	libattach.la $(CMOCKA_LIBS)
tests_faults_fault_matrix_LDFLAGS = $(AM_LDFLAGS) \
	$(faults_wrapped:%=-Wl,--wrap=%)
TESTS += tests/faults/fault-matrix tests/faults/test-faults-uml.sh
EXTRA_DIST += tests/faults/attach.sh tests/faults/test-faults-uml.sh
CLEANFILES += tests/faults/fault-matrix*.txt tests/faults/fault-matrix*.notes
