// SPDX-License-Identifier: Apache-2.0
//
// @kubernetes/client-node, as controllers and tools in JavaScript use it: objects, patches, watches and informers through
// restarts of sfd, typed calls of the core groups.
// Sfd: --controllers namespace,definition,owner,quota

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';

// An ES module that does not lie beside us.
const k8s = await import(createRequire(`${process.env.CLIENTS}/`).resolve('@kubernetes/client-node'));
const config = new k8s.KubeConfig();
config.loadFromDefault();
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const core = config.makeApiClient(k8s.CoreV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const vms = { group: 'shakenfist.io', version: 'v1alpha1', namespace: 'default', plural: 'instances' };
const path = '/apis/shakenfist.io/v1alpha1/namespaces/default/instances';
const patched = (strategy) => k8s.setHeaderOptions('Content-Type', strategy);

// A test that cannot hang.
const check = (name, body) => test(name, { timeout: 60000 }, body);

function vm(name, more = {}) {
	return {
		apiVersion: 'shakenfist.io/v1alpha1',
		kind: 'Instance',
		metadata: { name, ...more },
		spec: { runStrategy: 'Halted', disks: [{ name: 'root', size: '1Gi' }] },
	};
}

async function create(name, more) {
	return custom.createNamespacedCustomObject({ ...vms, body: vm(name, more) });
}

// The Status that the promise fails with.
async function failure(promise) {
	const error = await promise.then(
		() => assert.fail('should have failed'),
		(e) => e,
	);
	return { code: error.code, ...JSON.parse(error.body) };
}

async function until(what, condition) {
	const end = Date.now() + 15000;
	while (Date.now() < end) {
		if (await condition()) return;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	assert.fail(`not within 15 s: ${what}`);
}

function sfd(command) {
	execFileSync('bash', ['-c', `. "$TOP/tests/kubectl/lib.bash"; ${command}`], { stdio: 'inherit' });
}

check('create fills in what the server owns', async () => {
	const made = await create('crud', { labels: { app: 'web' } });
	assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/);
	assert.match(made.metadata.resourceVersion, /^\d+$/);
	assert.equal(made.metadata.generation, 1);
	assert.equal(made.spec.cpus, 1);
	assert.equal(made.kind, 'Instance');
});

check('create again is 409 AlreadyExists', async () => {
	const status = await failure(create('crud'));
	assert.deepEqual([status.code, status.reason], [409, 'AlreadyExists']);
	assert.equal(status.message, 'instances.shakenfist.io "crud" already exists');
	assert.deepEqual(status.details, { name: 'crud', group: 'shakenfist.io', kind: 'instances' });
});

check('create of nonsense is 422 with a cause per field', async () => {
	const body = vm('bad');
	body.spec.cpus = 0;
	body.spec.memory = 'lots';
	const status = await failure(custom.createNamespacedCustomObject({ ...vms, body }));
	assert.deepEqual([status.code, status.reason], [422, 'Invalid']);
	assert.deepEqual(status.details.causes.map((c) => [c.reason, c.field]), [
		['FieldValueInvalid', 'spec.cpus'],
		['FieldValueInvalid', 'spec.memory'],
	]);
});

check('get, and get of nothing', async () => {
	const got = await custom.getNamespacedCustomObject({ ...vms, name: 'crud' });
	assert.equal(got.metadata.name, 'crud');
	const status = await failure(custom.getNamespacedCustomObject({ ...vms, name: 'none' }));
	assert.deepEqual([status.code, status.reason], [404, 'NotFound']);
});

check('list by label, in pages, everywhere', async () => {
	await create('two', { labels: { app: 'web' } });
	await create('three', { labels: { app: 'db' } });
	const web = await custom.listNamespacedCustomObject({ ...vms, labelSelector: 'app=web' });
	assert.equal(web.kind, 'InstanceList');
	assert.deepEqual(web.items.map((o) => o.metadata.name), ['crud', 'two']);
	const first = await custom.listNamespacedCustomObject({ ...vms, limit: 2 });
	assert.equal(first.items.length, 2);
	assert.equal(first.metadata.remainingItemCount, 1);
	const rest = await custom.listNamespacedCustomObject({ ...vms, limit: 2, _continue: first.metadata._continue ?? first.metadata.continue });
	assert.deepEqual(rest.items.map((o) => o.metadata.name), ['two']);
	const all = await custom.listClusterCustomObject({ group: vms.group, version: vms.version, plural: vms.plural });
	assert.equal(all.items.length, 3);
});

check('replace, and replace of what has changed meanwhile is 409 Conflict', async () => {
	const got = await custom.getNamespacedCustomObject({ ...vms, name: 'crud' });
	const body = structuredClone(got);
	body.spec.cpus = 2;
	const newer = await custom.replaceNamespacedCustomObject({ ...vms, name: 'crud', body });
	assert.equal(newer.metadata.generation, 2);
	const status = await failure(custom.replaceNamespacedCustomObject({ ...vms, name: 'crud', body: got }));
	assert.deepEqual([status.code, status.reason], [409, 'Conflict']);
	assert.match(status.message, /the object has been modified; please apply your changes to the latest version and try again/);
});

check('JSON patch', async () => {
	const body = [{ op: 'replace', path: '/spec/cpus', value: 3 }];
	const got = await custom.patchNamespacedCustomObject({ ...vms, name: 'crud', body });
	assert.equal(got.spec.cpus, 3);
});

check('JSON patch whose test fails is 422', async () => {
	const body = [{ op: 'test', path: '/spec/cpus', value: 99 }];
	const status = await failure(custom.patchNamespacedCustomObject({ ...vms, name: 'crud', body }));
	assert.deepEqual([status.code, status.reason], [422, 'Invalid']);
});

check('merge patch sets and removes', async () => {
	const body = { metadata: { labels: { a: 'b' } }, spec: { cpus: 4 } };
	let got = await custom.patchNamespacedCustomObject({ ...vms, name: 'crud', body }, patched(k8s.PatchStrategy.MergePatch));
	assert.deepEqual([got.spec.cpus, got.metadata.labels], [4, { app: 'web', a: 'b' }]);
	got = await custom.patchNamespacedCustomObject(
		{ ...vms, name: 'crud', body: { metadata: { labels: { a: null } } } }, patched(k8s.PatchStrategy.MergePatch));
	assert.deepEqual(got.metadata.labels, { app: 'web' });
});

check('strategic merge patch of our kinds is 415', async () => {
	const status = await failure(custom.patchNamespacedCustomObject(
		{ ...vms, name: 'crud', body: {} }, patched(k8s.PatchStrategy.StrategicMergePatch)));
	assert.deepEqual([status.code, status.reason], [415, 'UnsupportedMediaType']);
});

check('server-side apply makes, owns, and conflicts', async () => {
	const apply = (fieldManager, cpus, force) => custom.patchNamespacedCustomObject(
		{ ...vms, name: 'ssa', fieldManager, force, body: { ...vm('ssa'), spec: { ...vm('ssa').spec, cpus } } },
		patched(k8s.PatchStrategy.ServerSideApply));
	const made = await apply('one', 1);
	assert.deepEqual(made.metadata.managedFields.map((m) => [m.manager, m.operation]), [['one', 'Apply']]);
	const status = await failure(apply('two', 2));
	assert.deepEqual([status.code, status.reason], [409, 'Conflict']);
	assert.deepEqual(status.details.causes, [
		{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.spec.cpus' },
	]);
	assert.equal((await apply('two', 2, true)).spec.cpus, 2);
});

check('a dry run stores nothing', async () => {
	await custom.createNamespacedCustomObject({ ...vms, body: vm('dry'), dryRun: 'All' });
	assert.equal((await failure(custom.getNamespacedCustomObject({ ...vms, name: 'dry' }))).code, 404);
	const status = await failure(custom.createNamespacedCustomObject({ ...vms, body: vm('dry'), dryRun: 'Some' }));
	assert.equal(status.code, 422);
});

check('the status subresource takes the status and nothing else', async () => {
	const body = { status: { printableStatus: 'Tested' }, spec: { cpus: 50 } };
	const got = await custom.patchNamespacedCustomObjectStatus({ ...vms, name: 'crud', body }, patched(k8s.PatchStrategy.MergePatch));
	assert.deepEqual([got.status.printableStatus, got.spec.cpus], ['Tested', 4]);
	const read = await custom.getNamespacedCustomObjectStatus({ ...vms, name: 'crud' });
	assert.equal(read.status.printableStatus, 'Tested');
	const main = await custom.patchNamespacedCustomObject(
		{ ...vms, name: 'crud', body: { status: { printableStatus: 'Not' } } }, patched(k8s.PatchStrategy.MergePatch));
	assert.equal(main.status.printableStatus, 'Tested');
	assert.equal(main.metadata.generation, got.metadata.generation);
});

check('KubernetesObjectApi reads, applies, patches and deletes by kind', async () => {
	const made = await objects.create(vm('any'));
	assert.equal(made.metadata.namespace, 'default');
	assert.equal((await objects.read(vm('any'))).metadata.uid, made.metadata.uid);
	const got = await objects.patch(
		{ ...vm('any'), metadata: { name: 'any', labels: { x: 'y' } } }, undefined, undefined, undefined, undefined, k8s.PatchStrategy.MergePatch);
	assert.equal(got.metadata.labels.x, 'y');
	const list = await objects.list('shakenfist.io/v1alpha1', 'Instance', 'default', undefined, undefined, undefined, undefined, 'x=y');
	assert.deepEqual(list.items.map((o) => o.metadata.name), ['any']);
	await objects.delete(vm('any'));
	const gone = await objects.read(vm('any'));
	assert.ok(gone.metadata.deletionTimestamp);
	gone.metadata.finalizers = [];
	await objects.replace(gone);
	assert.equal((await failure(objects.read(vm('any')))).code, 404);
});

check('delete with a stale uid is 409', async () => {
	const status = await failure(custom.deleteNamespacedCustomObject(
		{ ...vms, name: 'two', body: { preconditions: { uid: '00000000-0000-4000-8000-000000000000' } } }));
	assert.deepEqual([status.code, status.reason], [409, 'Conflict']);
});

// Everything a watch says until `enough` events came.
async function watched(query, enough, act) {
	const events = [];
	let request;
	await new Promise((resolve, reject) => {
		new k8s.Watch(config).watch(path, query, (type, object) => {
			events.push([type, object.metadata?.name ?? object.code, object]);
			if (events.length === enough) resolve();
		}, (error) => (events.length >= enough ? resolve() : error ? reject(error) : resolve()))
			.then((r) => { request = r; return act?.(); }).catch(reject);
	});
	request.abort();
	return events;
}

check('a watch tells what happens, in order', async () => {
	const { metadata } = await custom.listNamespacedCustomObject(vms);
	const events = await watched({ resourceVersion: metadata.resourceVersion }, 3, async () => {
		const made = await create('seen');
		await custom.deleteNamespacedCustomObject({ ...vms, name: 'seen' });
		await custom.patchNamespacedCustomObject({ ...vms, name: 'seen', body: { metadata: { finalizers: null } } }, patched(k8s.PatchStrategy.MergePatch));
		assert.ok(made);
	});
	assert.deepEqual(events.map(([type, name]) => `${type} ${name}`), ['ADDED seen', 'MODIFIED seen', 'DELETED seen']);
	const revisions = events.map(([, , object]) => BigInt(object.metadata.resourceVersion));
	assert.ok(revisions[0] < revisions[1] && revisions[1] < revisions[2]);
});

check('a watch with a selector tells of what comes in and goes out', async () => {
	const { metadata } = await custom.listNamespacedCustomObject(vms);
	const label = (value) => custom.patchNamespacedCustomObject(
		{ ...vms, name: 'three', body: { metadata: { labels: { app: value } } } }, patched(k8s.PatchStrategy.MergePatch));
	const events = await watched({ resourceVersion: metadata.resourceVersion, labelSelector: 'app=in' }, 2, async () => {
		await label('in');
		await label('out');
	});
	assert.deepEqual(events.map(([type, name]) => `${type} ${name}`), ['ADDED three', 'DELETED three']);
});

check('a watch without a version begins with what is there', async () => {
	const events = await watched({ labelSelector: 'app=web' }, 2);
	assert.deepEqual(events.map(([type, name]) => `${type} ${name}`).sort(), ['ADDED crud', 'ADDED two']);
});

check('sendInitialEvents ends with the bookmark that says so', async () => {
	const events = await watched({
		labelSelector: 'app=web', sendInitialEvents: true, allowWatchBookmarks: true, resourceVersionMatch: 'NotOlderThan',
	}, 3);
	const [type, , object] = events[2];
	assert.equal(type, 'BOOKMARK');
	assert.equal(object.metadata.annotations['k8s.io/initial-events-end'], 'true');
	assert.equal(object.kind, 'Instance');
});

check('timeoutSeconds ends a watch', async () => {
	const start = Date.now();
	const { metadata } = await custom.listNamespacedCustomObject(vms);
	await new Promise((resolve, reject) => new k8s.Watch(config)
		.watch(path, { timeoutSeconds: 1, resourceVersion: metadata.resourceVersion }, () => {}, resolve).catch(reject));
	assert.ok(Date.now() - start < 10000);
});

check('an informer follows through two restarts of sfd and misses nothing', async () => {
	const informer = k8s.makeInformer(config, path, () => custom.listNamespacedCustomObject(vms));
	const seen = { add: [], update: [], delete: [] };
	for (const what of Object.keys(seen)) informer.on(what, (o) => seen[what].push(o.metadata.name));
	let stopped = false;
	informer.on('error', () => !stopped && setTimeout(() => informer.start().catch(() => informer.emit?.('error')), 50));
	const retry = async (act) => {
		for (let i = 0; ; i++)
			try { return await act(); } catch (e) {
				if (i > 100 || e.code) throw e;
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
	};
	await informer.start();
	assert.ok(informer.get('crud', 'default'));
	await create('before');
	await until('before is seen', () => informer.get('before', 'default'));
	sfd('sfd_restart');
	await retry(() => create('after'));
	await until('after is seen', () => informer.get('after', 'default'));
	sfd('sfd_kill; sfd_up');
	await retry(() => custom.patchNamespacedCustomObject(
		{ ...vms, name: 'after', body: { metadata: { labels: { n: '1' } } } }, patched(k8s.PatchStrategy.MergePatch)));
	await until('the label is seen', () => informer.get('after', 'default')?.metadata.labels?.n === '1');
	await custom.deleteNamespacedCustomObject({ ...vms, name: 'after' });
	await custom.patchNamespacedCustomObject({ ...vms, name: 'after', body: { metadata: { finalizers: null } } }, patched(k8s.PatchStrategy.MergePatch));
	await until('the end is seen', () => !informer.get('after', 'default'));
	assert.equal(seen.add.filter((n) => n === 'before').length, 1);
	const list = await custom.listNamespacedCustomObject(vms);
	assert.deepEqual(informer.list().map((o) => o.metadata.name).sort(), list.items.map((o) => o.metadata.name).sort());
	stopped = true;
	await informer.stop();
});

check('objects and their versions are the same after a restart', async () => {
	const before = await custom.listNamespacedCustomObject(vms);
	sfd('sfd_restart');
	const after = await custom.listNamespacedCustomObject(vms);
	assert.deepEqual(after.items, before.items);
});

check('a watch from a version whose history is gone is 410 Expired', async () => {
	// 10,000 revisions are kept, and dropped a thousand at a time.
	const { metadata } = await core.createNamespacedConfigMap({ namespace: 'default', body: { metadata: { name: 'busy' } } });
	const url = `${config.getCurrentCluster().server}/api/v1/namespaces/default/configmaps/busy`;
	// Sixteen at once at one object: the server tries again for those that lose, as Kubernetes does for patches.
	let n = 0;
	const write = async () => {
		while (n < 11100) {
			const body = JSON.stringify({ data: { n: String(n++) } });
			const answer = await fetch(url, { method: 'PATCH', headers: { 'Content-Type': 'application/merge-patch+json' }, body });
			assert.equal(answer.status, 200, await answer.text());
		}
	};
	await Promise.all(Array.from({ length: 16 }, write));
	await until('the watch is told that it is too old', async () => {
		const events = await watched({ resourceVersion: metadata.resourceVersion, timeoutSeconds: 1 }, 1).catch((e) => [['thrown', e.statusCode]]);
		return events.some(([type, code]) => (type === 'ERROR' && code === 410) || code === 410);
	});
});

check('CoreV1Api: namespaces', async () => {
	const made = await core.createNamespace({ body: { metadata: { name: 'typed' } } });
	assert.deepEqual([made.status.phase, made.spec.finalizers], ['Active', ['kubernetes']]);
	assert.ok((await core.listNamespace()).items.some((n) => n.metadata.name === 'typed'));
	assert.ok((await core.readNamespace({ name: 'typed' })).metadata.creationTimestamp instanceof Date);
	const got = await core.patchNamespace({ name: 'typed', body: { metadata: { labels: { a: 'b' } } } }, patched(k8s.PatchStrategy.StrategicMergePatch));
	assert.equal(got.metadata.labels.a, 'b');
});

check('CoreV1Api: config maps and secrets', async () => {
	const where = { namespace: 'typed' };
	const cm = await core.createNamespacedConfigMap({ ...where, body: { metadata: { name: 'c' }, data: { a: '1' } } });
	cm.data.b = '2';
	assert.deepEqual((await core.replaceNamespacedConfigMap({ ...where, name: 'c', body: cm })).data, { a: '1', b: '2' });
	assert.equal((await core.listNamespacedConfigMap(where)).items.length, 1);
	const secret = await core.createNamespacedSecret({ ...where, body: { metadata: { name: 's' }, stringData: { password: 'x' } } });
	assert.deepEqual([secret.type, secret.data, secret.stringData], ['Opaque', { password: 'eA==' }, undefined]);
	await core.deleteNamespacedSecret({ ...where, name: 's' });
	await core.deleteCollectionNamespacedConfigMap(where);
	assert.equal((await core.listNamespacedConfigMap(where)).items.length, 0);
});

check('CoreV1Api: events', async () => {
	const now = new k8s.V1MicroTime();
	await core.createNamespacedEvent({
		namespace: 'typed',
		body: {
			metadata: { name: 'e' }, type: 'Normal', reason: 'Tested', message: 'by client-node', eventTime: now, action: 'Test',
			reportingComponent: 'test', reportingInstance: 'test', involvedObject: { kind: 'Namespace', name: 'typed', namespace: 'typed' },
		},
	});
	const events = await core.listNamespacedEvent({ namespace: 'typed', fieldSelector: 'reason=Tested' });
	assert.deepEqual(events.items.map((e) => e.message), ['by client-node']);
});

check('deleting a namespace takes its content along', async () => {
	await core.createNamespacedConfigMap({ namespace: 'typed', body: { metadata: { name: 'inside' } } });
	const gone = await core.deleteNamespace({ name: 'typed' });
	assert.ok(gone.status);
	await until('the namespace is gone', () => core.readNamespace({ name: 'typed' }).then(() => false, (e) => e.code === 404));
});

check('CoordinationV1Api: a lease is taken and renewed', async () => {
	const api = config.makeApiClient(k8s.CoordinationV1Api);
	const lease = await api.createNamespacedLease({
		namespace: 'default',
		body: { metadata: { name: 'leader' }, spec: { holderIdentity: 'me', leaseDurationSeconds: 15, acquireTime: new k8s.V1MicroTime(), renewTime: new k8s.V1MicroTime() } },
	});
	lease.spec.renewTime = new k8s.V1MicroTime();
	lease.spec.leaseTransitions = 1;
	const renewed = await api.replaceNamespacedLease({ name: 'leader', namespace: 'default', body: lease });
	assert.deepEqual([renewed.spec.holderIdentity, renewed.spec.leaseTransitions], ['me', 1]);
	const status = await failure(api.replaceNamespacedLease({ name: 'leader', namespace: 'default', body: lease }));
	assert.equal(status.reason, 'Conflict');
});

check('RbacAuthorizationV1Api: roles and bindings', async () => {
	const api = config.makeApiClient(k8s.RbacAuthorizationV1Api);
	const rules = [{ apiGroups: ['shakenfist.io'], resources: ['instances'], verbs: ['get', 'list'] }];
	await api.createNamespacedRole({ namespace: 'default', body: { metadata: { name: 'reader' }, rules } });
	assert.deepEqual((await api.readNamespacedRole({ name: 'reader', namespace: 'default' })).rules[0].verbs, ['get', 'list']);
	await api.createNamespacedRoleBinding({
		namespace: 'default',
		body: {
			metadata: { name: 'readers' }, subjects: [{ kind: 'User', name: 'jane', apiGroup: 'rbac.authorization.k8s.io' }],
			roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
		},
	});
	assert.equal((await api.listNamespacedRoleBinding({ namespace: 'default' })).items.length, 1);
	const names = (await api.listClusterRole()).items.map((r) => r.metadata.name);
	for (const name of ['admin', 'cluster-admin', 'edit', 'view']) assert.ok(names.includes(name), name);
});

check('AuthorizationV1Api and AuthenticationV1Api: who am I, may I', async () => {
	const api = config.makeApiClient(k8s.AuthorizationV1Api);
	const review = await api.createSelfSubjectAccessReview({
		body: { spec: { resourceAttributes: { group: 'shakenfist.io', resource: 'instances', verb: 'delete', namespace: 'default' } } },
	});
	assert.equal(review.status.allowed, true);
	const rules = await api.createSelfSubjectRulesReview({ body: { spec: { namespace: 'default' } } });
	assert.ok(rules.status.resourceRules.length > 0);
	const other = await api.createSubjectAccessReview({
		body: { spec: { user: 'jane', resourceAttributes: { group: 'shakenfist.io', resource: 'instances', verb: 'get', namespace: 'default' } } },
	});
	assert.equal(other.status.allowed, true); // by the role binding of the test before
	const me = await config.makeApiClient(k8s.AuthenticationV1Api).createSelfSubjectReview({ body: {} });
	assert.ok(me.status.userInfo.groups.includes('system:masters'));
});

check('ApiextensionsV1Api: a kind of one\'s own', async () => {
	const api = config.makeApiClient(k8s.ApiextensionsV1Api);
	await api.createCustomResourceDefinition({
		body: {
			metadata: { name: 'widgets.example.com' },
			spec: {
				group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
				versions: [{
					name: 'v1', served: true, storage: true,
					schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } } } },
				}],
			},
		},
	});
	await until('it is established', async () => (await api.readCustomResourceDefinition({ name: 'widgets.example.com' }))
		.status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True'));
	const widgets = { group: 'example.com', version: 'v1', namespace: 'default', plural: 'widgets' };
	await custom.createNamespacedCustomObject({ ...widgets, body: { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { size: 3 } } });
	assert.equal((await custom.listNamespacedCustomObject(widgets)).items[0].spec.size, 3);
	await api.deleteCustomResourceDefinition({ name: 'widgets.example.com' });
	await until('its objects are gone too', () => custom.listNamespacedCustomObject(widgets).then(() => false, (e) => e.code === 404));
});

check('VersionApi, ApisApi and discovery', async () => {
	const version = await config.makeApiClient(k8s.VersionApi).getCode();
	assert.equal(version.major, '1');
	const groups = await config.makeApiClient(k8s.ApisApi).getAPIVersions();
	assert.ok(groups.groups.some((g) => g.name === 'shakenfist.io'));
	const resources = await core.getAPIResources();
	assert.ok(resources.resources.some((r) => r.name === 'namespaces'));
});
