<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Feed;
use WHMCS\Module\Server\Vmline\FeedLock;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\LostLock;
use WHMCS\Module\Server\Vmline\Record;
use WHMCS\Module\Server\Vmline\Server;

/**
 * How events of the gateway become facts in WHMCS.
 */
final class FeedTest extends WhmcsCase
{
    private FakeGateway $fake;

    protected function setUp(): void
    {
        parent::setUp();
        $this->fake = new FakeGateway();
        $this->server($this->fake->url);
        Record::accepted(self::SERVICE, self::SERVER, ['id' => $this->ref() . '.create', 'status' => 'accepted'], [
            'name' => 'vm-1001', 'username' => 'debian', 'template' => 'tmpl', 'domain' => 'vm-1001.example.net']);
    }

    protected function tearDown(): void
    {
        $this->fake->close();
    }

    public function testAMachineThatIsReady(): void
    {
        $this->events([5 => States::service($this->ref(), 'set_ip', 'create', 'running'), 6 => States::ready($this->ref())]);
        run_hook('AfterCronJob');
        $hosting = $this->hosting();
        $this->assertSame('203.0.113.7', $hosting->dedicatedip, 'the first IPv4 address');
        $this->assertSame("2001:db8::7\n203.0.113.8", $hosting->assignedips);
        $this->assertSame(['debian', 'vm-1001.example.net'], [$hosting->username, $hosting->domain]);
        $this->assertSame(self::PASSWORD, decrypt($hosting->password));
        $this->assertSame("a note of an admin\n2026-11-24 ready: VM 150 on pve2, 2001:db8::7, 203.0.113.7, 203.0.113.8", $hosting->notes);
        $this->assertSame([['messagename' => 'VPS Ready', 'id' => self::SERVICE]], $this->calls('SendEmail'));
        $this->assertSame(6, (int) Capsule::table('mod_vmline_feeds')->value('cursor'));
        $this->assertNoSecretIsKept();
    }

    public function testTheReadyMailGoesOutOnce(): void
    {
        $ready = States::ready($this->ref());
        foreach ([[5 => $ready], [6 => $ready], [6 => $ready, 7 => States::service($this->ref(), 'ready', 'reinstall', 'succeeded')]] as $events) {
            $this->events($events);
            $this->feed()->pull();
        }
        $this->assertCount(1, $this->calls('SendEmail'));
        $this->assertSame(1, substr_count($this->hosting()->notes, 'ready:'));
        $this->events([8 => ['uid' => 'uid-2'] + $ready]); // ordered anew
        $this->feed()->pull();
        $this->assertCount(2, $this->calls('SendEmail'));
    }

    public function testATerminatedMachine(): void
    {
        $this->events([5 => States::ready($this->ref())]);
        $this->feed()->pull();
        Record::accepted(self::SERVICE, self::SERVER, ['id' => $this->ref() . '.terminate']);
        $this->events([6 => States::terminated($this->ref())]);
        $this->feed()->pull();
        $this->events([7 => States::terminated($this->ref())]);
        $this->feed()->pull();
        $hosting = $this->hosting();
        $this->assertSame(['', ''], [$hosting->dedicatedip, $hosting->assignedips]);
        $this->assertStringEndsWith("\n2026-11-24 terminated, released 203.0.113.7, 203.0.113.8, 2001:db8::7", $hosting->notes);
        $this->assertSame(1, substr_count($hosting->notes, 'terminated'));
        $this->assertStringStartsWith("a note of an admin\n", $hosting->notes);
        $this->assertSame('', Record::find(self::SERVICE)->name, 'a new order gets a new name');
    }

    public function testAddressesOfATerminationThatDoesNotNameThem(): void
    {
        $this->events([5 => States::ready($this->ref())]);
        $this->feed()->pull();
        $terminated = States::terminated($this->ref());
        unset($terminated['operation']['result']);
        $this->events([6 => $terminated]);
        $this->feed()->pull();
        $this->assertStringEndsWith('terminated, released 2001:db8::7, 203.0.113.7, 203.0.113.8', $this->hosting()->notes);
    }

    public function testAParkedOperationIsToldOnce(): void
    {
        $this->events([5 => States::parked($this->ref()), 6 => States::parked($this->ref())]);
        $this->feed()->pull();
        $this->assertSame([[
            'notification_identifier' => 'vmline.parked', 'title' => 'create of service 1001 needs a person before set_ip',
            'message' => 'The pool <v4> is empty. Nothing was made. Add addresses to the pool.',
            'url' => 'https://billing.example/admin/clientsservices.php?id=1001', 'status' => 'Waiting', 'statusStyle' => 'danger',
        ]], $this->calls('TriggerNotificationEvent'));
        $this->assertSame([], $this->calls('SendEmail'));
    }

    public function testACommandThatWasRefusedLaterIsTold(): void
    {
        $refused = States::parked($this->ref())['operation'];
        $refused['status'] = 'refused';
        $operation = $this->ref() . '.create';
        $this->fake->answer(['GET /v1/events' => [States::page([], 0)], "GET /v1/operations/$operation" => [['body' => $refused]]]);
        $this->feed()->pull();
        $this->assertSame([], $this->fake->requests('GET /v1/operations'), 'it was accepted just now');
        $this->later();
        $this->feed()->pull();
        $this->feed()->pull();
        $this->assertSame(['create of service 1001 was refused before set_ip'], array_column($this->calls('TriggerNotificationEvent'), 'title'));
        $this->assertCount(1, $this->fake->requests('GET /v1/operations'));
        $this->assertSame('refused', Record::find(self::SERVICE)->operation_status);
    }

    public function testACommandOfWhichAnEventCameIsNotAskedFor(): void
    {
        $this->events([5 => States::service($this->ref(), 'set_ip', 'create', 'running')]);
        $this->feed()->pull();
        $this->later();
        $this->feed()->pull();
        $this->assertSame([], $this->fake->requests('GET /v1/operations'));
    }

    public function testACommandThatAStepRefusedIsTold(): void
    {
        $refused = States::parked($this->ref());
        $refused['operation']['status'] = 'refused';
        $this->events([5 => $refused]);
        $this->feed()->pull();
        $this->assertSame(['create of service 1001 was refused before set_ip'], array_column($this->calls('TriggerNotificationEvent'), 'title'));
    }

    /** The end of the old machine must not take the new one's name away. */
    public function testAMachineThatIsOrderedBeforeTheEndOfTheOldOneIsHeardOf(): void
    {
        Record::accepted(self::SERVICE, self::SERVER, ['id' => 'the new order'], ['name' => 'vm-1001-b']);
        $terminating = States::service($this->ref(), 'terminate', 'terminate', 'running');
        $this->events([5 => $terminating, 6 => States::terminated($this->ref())]);
        $this->feed()->pull();
        $this->assertSame('vm-1001-b', Record::find(self::SERVICE)->name);
        $this->assertStringContainsString('terminated, released', $this->hosting()->notes);
    }

    public function testWhoeverHasAnAdoptedMachineIsNotWelcomed(): void
    {
        $this->events([5 => States::service($this->ref(), 'ready', 'adopt', 'succeeded')]);
        $this->feed()->pull();
        $this->assertSame([], $this->calls('SendEmail'));
        $this->assertSame('203.0.113.7', $this->hosting()->dedicatedip);
    }

    public function testSeveralPages(): void
    {
        $ref = $this->ref();
        $this->fake->answer([
            'GET /v1/events?after=0&limit=200' => [States::page([3 => States::service($ref, 'set_ip', 'create', 'running')], 3, true)],
            'GET /v1/events?after=3&limit=200' => [States::page([9 => States::ready($ref)], 12)],
            'GET /v1/events?after=12&limit=200' => [States::page([], 12)],
        ]);
        $this->feed()->pull();
        $this->feed()->pull();
        $this->assertSame(12, (int) Capsule::table('mod_vmline_feeds')->value('cursor'));
        $this->assertCount(1, $this->calls('SendEmail'));
    }

    public function testAGapIsFilledFromTheListOfServices(): void
    {
        $ref = $this->ref();
        $this->fake->answer([
            'GET /v1/events' => [States::page([], 80, false, true), States::page([], 80)],
            'GET /v1/services?limit=200' => [['body' => ['items' => [['ref' => 'other-1'] + States::ready($ref)], 'next_cursor' => 'other-1']]],
            'GET /v1/services?limit=200&cursor=other-1' => [['body' => ['items' => [States::ready($ref)]]]],
        ]);
        $this->feed()->pull();
        $this->assertSame('203.0.113.7', $this->hosting()->dedicatedip);
        $this->assertSame(80, (int) Capsule::table('mod_vmline_feeds')->value('cursor'));
        $this->assertCount(1, $this->calls('SendEmail'));
    }

    public function testEventsOfOthersAreLeftAlone(): void
    {
        $this->service(1002);
        Capsule::table('tblhosting')->where('id', 1002)->update(['server' => 99]);
        $this->events([5 => States::ready('wffffffff-1001'), 6 => States::ready($this->ref(1002)), 7 => States::ready($this->ref(4040))]);
        $this->feed()->pull();
        $this->assertSame('', $this->hosting()->dedicatedip, 'another installation has a service with the same number');
        $this->assertSame('', $this->hosting(1002)->dedicatedip, 'it is another gateway\'s');
        $this->assertSame(7, (int) Capsule::table('mod_vmline_feeds')->value('cursor'));
    }

    public function testAnEventThatCannotBeAppliedHoldsUpNobody(): void
    {
        $this->service(1002);
        Capsule::statement('CREATE TRIGGER broken BEFORE UPDATE ON tblhosting ' . match (Capsule::connection()->getDriverName()) {
            'sqlite' => 'WHEN NEW.id = 1001 BEGIN SELECT RAISE(ABORT, \'full\'); END',
            'mysql' => 'FOR EACH ROW IF NEW.id = 1001 THEN SIGNAL SQLSTATE \'45000\'; END IF',
        });
        $this->events([5 => States::ready($this->ref()), 6 => States::ready($this->ref(1002))]);
        $this->feed()->pull();
        $this->assertSame('203.0.113.7', $this->hosting(1002)->dedicatedip);
        $this->assertStringContainsString('event 5 of ' . $this->ref() . ' could not be applied', $this->calls('logActivity')[0][0]);
        $kept = Capsule::table('mod_vmline_outbox')->where('serviceid', 1001)->where('kind', 'ready_mail');
        $this->assertSame(0, $kept->count(), 'half of it was not kept');
    }

    public function testAGatewayThatIsAwayHoldsUpNobody(): void
    {
        $this->insert('tblservers', ['hostname' => '127.0.0.1', 'port' => 1, 'type' => 'vmline', 'password' => encrypt('x'), 'disabled' => 0, 'id' => 2]);
        $this->events([5 => States::ready($this->ref())]);
        run_hook('AfterCronJob');
        $this->assertSame('203.0.113.7', $this->hosting()->dedicatedip);
        $this->assertStringContainsString('the events of server 2 could not be read', $this->calls('logActivity')[0][0]);
    }

    /** @dataProvider garbage */
    public function testGarbageMovesNothing(array $answer): void
    {
        $this->fake->answer(['GET /v1/events' => [$answer]]);
        run_hook('AfterCronJob');
        $this->assertSame(0, (int) Capsule::table('mod_vmline_feeds')->value('cursor'));
        $this->assertSame(0, (int) Capsule::table('mod_vmline_feeds')->value('held_until'), 'the lock is free again');
        $this->assertCount(1, $this->calls('logActivity'));
    }

    /** @return iterable<string,list<mixed>> */
    public static function garbage(): iterable
    {
        yield 'a page' => [['raw' => '<html>']];
        yield 'another form' => [['body' => ['items' => []]]];
        yield 'a cursor that is no number' => [['body' => ['events' => [], 'cursor' => 'x']]];
        yield 'an error' => [['status' => 503, 'body' => ['title' => 'Service Unavailable']]];
    }

    public function testTheLock(): void
    {
        $first = FeedLock::take(self::SERVER, 1000);
        $this->assertNotNull($first);
        $this->assertNull(FeedLock::take(self::SERVER, 1000));
        $this->assertNull(FeedLock::take(self::SERVER, 1059));
        $second = FeedLock::take(self::SERVER, 1061);
        $this->assertNotNull($second, 'the first has died');
        $second->advance(7);
        try {
            $first->advance(8);
            $this->fail('one that lost its lock moves the cursor');
        } catch (LostLock) {
            $this->assertSame(7, $second->cursor());
        }
        $first->release();
        $asked = $second->asked();
        $this->assertNull(FeedLock::take(self::SERVER, 1062), 'who lost the lock cannot free it');
        $this->assertFalse($second->releaseUnlessAsked($asked), 'somebody has asked for it');
        $this->assertTrue($second->releaseUnlessAsked($second->asked()));
        $this->assertNotNull(FeedLock::take(self::SERVER, 1062));
    }

    /** A doorbell that rings while the last page is on its way is not for nothing. */
    public function testOneWhoAsksMeanwhileIsServedByTheHolder(): void
    {
        $this->fake->answer(['GET /v1/events' => [States::page([], 0), States::page([5 => States::ready($this->ref())], 5)]]);
        $this->server($this->fake->url, 'whmcs-1');
        $rings = 0;
        $gateway = new Gateway(Server::fromId(self::SERVER), function () use (&$rings): int {
            if ($rings++ === 0) { // the request for the first page is being signed
                $this->assertNull(FeedLock::take(self::SERVER, time()));
            }
            return time();
        });
        (new Feed(self::SERVER, $gateway, static fn (): int => time()))->pull();
        $this->assertSame('203.0.113.7', $this->hosting()->dedicatedip);
        $this->assertCount(2, $this->fake->requests('GET /v1/events'));
    }

    /** What is due later is due. */
    private function later(): void
    {
        Capsule::table('mod_vmline_outbox')->where('status', 'due')->update(['due_at' => 0]);
    }

    /** @param array<int,array<string,mixed>> $events */
    private function events(array $events): void
    {
        $this->fake->answer(['GET /v1/events' => [States::page($events, max(array_keys($events)))]]);
    }
}
