<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;

/**
 * What an admin chooses from when a product is made, and what a customer's upgrade is held against before it is paid.
 */
final class RealProductTest extends RealCase
{
    public function testLoaders(): void
    {
        $this->assertSame(['dc1' => 'dc1'], vmline_ClusterLoader($this->params()));
        $templates = vmline_TemplateLoader($this->params());
        $this->assertArrayHasKey('ubuntu-26', $templates);
        $this->assertStringContainsString('dc1: pve1', $templates['tmpl']);
        $storages = vmline_StorageLoader($this->params());
        $this->assertSame('as the template', $storages['']);
        $this->assertMatchesRegularExpression('/^shared1 \(dc1: shared, \d+ GB free\)$/', $storages['shared1']);
        $this->assertStringContainsString('pools: v4, v6', vmline_BridgeLoader($this->params())['vmbr0']);
    }

    public function testAnUpgradeIsHeldAgainstTheMachineBeforeItIsPaid(): void
    {
        $this->done('CreateAccount');
        $this->insert('tblproductconfigoptions', ['id' => 4, 'optionname' => 'disk|Disk', 'optiontype' => '1']);
        $this->insert('tblproductconfigoptionssub', ['id' => 44, 'configid' => 4, 'optionname' => '5|5 GB']);
        $this->insert('tblproductconfigoptionssub', ['id' => 45, 'configid' => 4, 'optionname' => '20|20 GB']);
        $smaller = $this->objections(['configoption' => [4 => '44']]);
        $this->assertCount(1, $smaller);
        $this->assertStringContainsString('10', $smaller[0]);
        $this->assertStringContainsString('5', $smaller[0]);
        $this->assertSame([], $this->objections(['configoption' => [4 => '45']]));
        $product = (array) Capsule::table('tblproducts')->where('id', self::PRODUCT)->first();
        $this->insert('tblproducts', ['id' => 6, 'configoption10' => '5'] + $product);
        $this->insert('tblproducts', ['id' => 7, 'configoption10' => '12'] + $product);
        $this->assertSame($smaller, $this->objections([], 6));
        $this->assertSame([], $this->objections([], 7));
        $this->assertSame(10, $this->machine()['package']['system_disk']['size_gb'], 'nothing was changed');
    }

    /** @return list<string> what the customer reads in the cart */
    private function objections(array $request, int $product = 0): array
    {
        $_REQUEST = $request;
        $errors = run_hook('ShoppingCartValidateUpgrade', ['id' => self::SERVICE] + ($product ? ['pid' => $product] : []))[0];
        $_REQUEST = [];
        return $errors;
    }
}
