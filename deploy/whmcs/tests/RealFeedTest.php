<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Commands;
use WHMCS\Module\Server\Vmline\Meta;
use WHMCS\Module\Server\Vmline\Record;

/**
 * What the real gateway's events make WHMCS do.
 */
final class RealFeedTest extends RealCase
{
    public function testAMailThatCannotBeSentIsTriedAgain(): void
    {
        $this->insert('tblconfiguration', ['setting' => 'stand_in_fails_SendEmail']);
        $this->done('CreateAccount');
        $this->assertCount(1, $this->calls('failed SendEmail'));
        $this->assertStringContainsString('The mail server is down', $this->calls('logActivity')[0][0]);
        Capsule::table('tblconfiguration')->where('setting', 'stand_in_fails_SendEmail')->delete();
        $this->feed()->pull();
        $this->assertCount(0, $this->calls('SendEmail'), 'not before a minute has passed');
        $this->minuteLater();
        $this->feed()->pull();
        $this->feed()->pull();
        $this->assertCount(1, $this->calls('SendEmail'));
    }

    public function testAMailInTheHandsOfOneThatDiedIsNotSentTwice(): void
    {
        $die = static function (): array {
            throw new \Error('the process is killed');
        };
        $GLOBALS['stand_in_hooks']['EmailPreSend'] = [$die];
        $this->done('CreateAccount');
        Capsule::table('mod_vmline_outbox')->where('kind', 'ready_mail')->update(['status' => 'doing', 'due_at' => 1]); // as a killed one leaves it
        $GLOBALS['stand_in_hooks']['EmailPreSend'] = [];
        $this->feed()->pull();
        $this->feed()->pull();
        $this->assertSame([], $this->calls('SendEmail'));
        $this->assertSame(['ready mail of service 1001 needs a person'], array_column($this->calls('TriggerNotificationEvent'), 'title'));
    }

    /** Another process sends the second mail while this one sends the first. */
    public function testTwoWhoSendMailsAtOnce(): void
    {
        $other = function (): array {
            $GLOBALS['stand_in_hooks']['EmailPreSend'] = [];
            $this->feed()->pull();
            return [];
        };
        foreach ([1002, 1003] as $id) {
            $this->service($id);
            $this->assertSame('success', vmline_CreateAccount($this->params([], $id)));
        }
        foreach ([1002, 1003] as $id) {
            $this->gateway()->get('/v1/operations/' . rawurlencode(Record::find($id)->ordered), ['wait' => 25], 30);
        }
        $GLOBALS['stand_in_hooks']['EmailPreSend'] = [$other];
        $this->feed()->pull();
        $sent = array_column($this->calls('SendEmail'), 'id');
        sort($sent);
        $this->assertSame([1002, 1003], $sent, 'each once');
    }

    public function testWelcomeMailsOfWhmcsAreHeldBackUntilTheMachineIsReady(): void
    {
        $asks = static fn (string $template): array => run_hook('EmailPreSend', ['messagename' => $template, 'relid' => self::SERVICE])[0];
        $this->assertSame(['abortsend' => true], $asks('VPS Ready'));
        $this->assertSame([], $asks('Invoice Created'));
        $this->done('CreateAccount');
        $this->assertCount(1, $this->calls('SendEmail'));
        $this->assertSame(['abortsend' => true], $asks('VPS Ready'), 'in the very request that ordered it WHMCS would send it a second time');
        $this->done('SuspendAccount');
        $this->setCreating(0); // another request
        $this->assertSame([], $asks('VPS Ready'), 'an admin may send it again');
        Capsule::table('tblproducts')->update(['servertype' => 'other']);
        $this->assertSame([], $asks('VPS Ready'), 'another module\'s product');
    }

    public function testTheDailyComparison(): void
    {
        $this->service(1002);
        $this->service(1003);
        Capsule::table('tblhosting')->update(['domainstatus' => 'Active']);
        foreach ([self::SERVICE, 1003] as $id) {
            $this->assertSame('success', vmline_CreateAccount($this->params([], $id)));
            $this->ended('succeeded', $id);
        }
        Capsule::table('tblhosting')->where('id', 1003)->delete(); // by hand in the database
        Capsule::table('tblhosting')->where('id', self::SERVICE)->update(['dedicatedip' => '']);
        run_hook('DailyCronJob');
        run_hook('DailyCronJob');
        $this->assertSame($this->machine()['addresses'][0]['address'], $this->hosting()->dedicatedip, 'what events did not bring');
        $said = array_column($this->calls('logActivity'), 0);
        sort($said);
        $this->assertCount(2, $said);
        $this->assertStringContainsString('service 1002: WHMCS sells it, but the gateway has no machine for it.', $said[0]);
        $this->assertStringContainsString('service 1003: The machine ' . $this->ref(1003) . ' has no service in WHMCS.', $said[1]);
    }

    public function testADeletedServiceDestroysNothing(): void
    {
        $this->done('CreateAccount');
        run_hook('ServiceDelete', ['serviceid' => self::SERVICE]);
        Capsule::table('tblhosting')->where('id', self::SERVICE)->delete();
        run_hook('AfterCronJob');
        run_hook('AfterCronJob');
        $this->assertSame('ready', $this->machine()['status']);
        $this->assertSame('create', $this->machine()['operation']['type']);
        $told = array_filter(
            $this->calls('TriggerNotificationEvent'),
            fn (array $call): bool => str_contains(json_encode($call), 'vmline vm terminate ' . $this->ref()),
        );
        $this->assertCount(1, $told, 'staff is told once, and how to go on');
    }

    public function testTheSearchOfTheAdminArea(): void
    {
        $machine = $this->done('CreateAccount', ['configoption8' => 'search-me', 'configoption18' => '1']);
        $addresses = array_column($machine['addresses'], 'address');
        $this->assertCount(2, $addresses);
        foreach ([...$addresses, 'search-me.example', $this->ref(), (string) $machine['vmid']] as $term) {
            $found = run_hook('IntelligentSearch', ['searchTerm' => $term])[0];
            $this->assertCount(1, $found, $term);
            $this->assertSame('https://billing.example/admin/clientsservices.php?id=1001', $found[0]['href']);
        }
        foreach (['203.0.113.9', '15', '%%%', $machine['vmid'] . '0'] as $term) {
            $this->assertSame([], run_hook('IntelligentSearch', ['searchTerm' => $term])[0], $term);
        }
    }

    /** Two installations of WHMCS at one gateway have services with the same numbers. */
    public function testAnotherInstallationsMachines(): void
    {
        $this->done('CreateAccount');
        $mine = $this->hosting();
        Capsule::table('mod_vmline_services')->delete();
        Capsule::table('mod_vmline_feeds')->delete();
        Capsule::table('tblhosting')->update(['dedicatedip' => '', 'notes' => '']);
        Meta::set('install_id', 'wffffffff');
        run_hook('AfterCronJob');
        run_hook('DailyCronJob');
        $this->assertSame(['', ''], [$this->hosting()->dedicatedip, $this->hosting()->notes]);
        $this->assertNotSame('', $mine->dedicatedip);
        $this->assertSame([], $this->calls('logActivity'));
    }

    private function minuteLater(): void
    {
        Capsule::table('mod_vmline_outbox')->where('status', 'due')->update(['due_at' => 0]);
    }

    private function setCreating(int $serviceId): void
    {
        (new \ReflectionProperty(Commands::class, 'creating'))->setValue(null, $serviceId);
    }
}
